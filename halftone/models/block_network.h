// Networks that can do without the activations inside their blocks.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <functional>
#include <memory>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::models {

// What a module derives from, beside torch::nn::Module, whose forward() runs blocks one after the
// other. With recompute_blocks(true) a training step keeps what goes into each block and computes
// what is inside again when backward comes to it (nn/recompute.h): a forward pass more, the same
// gradients bit for bit. Off at first.
class HALFTONE_API BlockNetwork {
 public:
  virtual ~BlockNetwork() = default;
  void recompute_blocks(bool on) { recomputes_ = on; }

 protected:
  // run(x), which is a function of x, the modules and `others`, the tensors beside x that may need
  // a gradient.
  at::Tensor run_block(std::vector<std::shared_ptr<torch::nn::Module>> modules, const at::Tensor& x,
                       std::function<at::Tensor(const at::Tensor&)> run,
                       const std::vector<at::Tensor>& others = {}) const;

 private:
  bool recomputes_ = false;
};

// Turns it on for `network` and what is in it; false where there is no BlockNetwork.
HALFTONE_API bool recompute_blocks(torch::nn::Module& network);

}  // namespace halftone::models
