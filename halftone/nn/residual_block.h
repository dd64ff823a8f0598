// The residual block that fuse() puts in place of one that was written with LibTorch's modules.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/container/sequential.h>

#include <memory>
#include <string>
#include <vector>

#include "halftone/nn/layers.h"

namespace halftone::nn {

// y = relu(norm_n(conv_n(... relu(norm_1(conv_1(x))))) + shortcut(x)), n = 2 (He et al. 2016, "Deep
// residual learning", figure 5, left) or 3 (right); shortcut: the identity, or a child Sequential.
class ResidualBlockImpl : public torch::nn::Module {
 public:
  // With the children of `module` under their names and in their order, their tensors shared; null
  // where these are not two or three Conv2d with a BatchNorm2d each, any number of ReLU and at most
  // one Sequential, where the module has parameters or buffers of its own, or is a Sequential. What
  // its forward() does nobody can see: ask computes_as().
  static std::shared_ptr<ResidualBlockImpl> like(const torch::nn::Module& module);

  at::Tensor forward(const at::Tensor& x);

  // Whether `original` (the module that this was made like) gives what LibTorch's operations one by
  // one give in the order above, bit for bit: on random images, in training and evaluation, with
  // the gradients and the statistics' moves. Leaves everything as it was, random generators too.
  // Throws what its forward() throws.
  bool computes_as(torch::nn::AnyModule& original);

  std::shared_ptr<torch::nn::Module> clone(
      const std::optional<torch::Device>& device = std::nullopt) const override;

 private:
  void adopt(const std::string& name, const std::shared_ptr<torch::nn::Module>& child);
  at::Tensor shortcut(const at::Tensor& x);
  at::Tensor forward_one_by_one(const at::Tensor& x);

  std::vector<Conv2d> convs_;
  std::vector<BatchNormReLU> norms_;
  BatchNormAddReLU last_ = nullptr;
  std::shared_ptr<torch::nn::SequentialImpl> shortcut_;
};

}  // namespace halftone::nn
