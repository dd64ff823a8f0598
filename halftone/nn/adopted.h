// What the blocks that stand in for a module of LibTorch's have in common.
#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <optional>

namespace halftone::nn {

// A class derived from LibTorch's module `Base`, with its options, parameters, buffers, names, and
// a forward() of its own. It can be made from such a module, whose tensors it then shares: an
// optimizer that has them goes on updating them.
template <class Derived, class Base>
class Adopted : public Base {
 public:
  using Base::Base;
  explicit Adopted(const Base& module) : Base(module) {}

  // LibTorch's would give a Base.
  std::shared_ptr<torch::nn::Module> clone(
      const std::optional<torch::Device>& device = std::nullopt) const override {
    return std::make_shared<Derived>(*std::dynamic_pointer_cast<Base>(Base::clone(device)));
  }
};

}  // namespace halftone::nn
