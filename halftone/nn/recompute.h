// Recomputation (activation checkpointing): memory for time.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <functional>
#include <memory>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::nn {

// fn(input) without keeping what its backward pass needs: backward runs fn again, under the
// autocast state (precision/autocast.h) and from the random state of the first time, so that the
// gradients are those without recomputation bit for bit (Chen et al. 2016, "Training deep nets with
// sublinear memory cost", section 4). fn: must be a function of input, `parameters` and the default
// generator of input's device, and is kept until the graph is freed. parameters: every tensor that
// needs a gradient from fn beside input. Returns fn's tensor. Differentiable once: Error for
// create_graph.
HALFTONE_API at::Tensor recompute(std::function<at::Tensor(const at::Tensor&)> fn,
                                  const at::Tensor& input,
                                  const std::vector<at::Tensor>& parameters);

// The same for a function that runs `module` (its parameters), whose running statistics move once:
// the second pass puts the buffers back. The module must be in the same mode in both passes.
HALFTONE_API at::Tensor recompute(std::function<at::Tensor(const at::Tensor&)> fn,
                                  const at::Tensor& input, const torch::nn::Module& module);

// The same for one that runs several modules, which the graph keeps, and `others`: tensors beside
// input that may need a gradient.
HALFTONE_API at::Tensor recompute(std::function<at::Tensor(const at::Tensor&)> fn,
                                  const at::Tensor& input,
                                  std::vector<std::shared_ptr<torch::nn::Module>> modules,
                                  const std::vector<at::Tensor>& others);

}  // namespace halftone::nn
