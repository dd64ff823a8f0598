// relu(batch_norm(x) + residual) as one autograd function over LibTorch operations of our own,
// halftone::batch_norm_relu_forward and _backward (CPU and Meta), which tracing sees.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/function.h>

#include <optional>

#include "halftone/nn/recipe.h"
#include "halftone/ops/batch_norm_ops.h"

namespace halftone::nn {

// One call. residual: undefined for none.
struct FusedNorm {
  std::optional<at::Tensor> weight, bias, running_mean, running_var;
  bool training;
  double momentum, eps;

  // LibTorch's batch_norm, without ReLU.
  at::Tensor normalise(const at::Tensor& x) const;
  ops::BatchNormForward forward_call(const at::Tensor& x, const at::Tensor& residual) const {
    return {x, weight, bias, running_mean, running_var, training, momentum, eps, residual, true};
  }
};

// The kernels' in one pass, where they take the call and no policy names the layer, else LibTorch's
// operations one by one. Moves the running statistics in training.
at::Tensor batch_norm_relu(const FusedNorm& norm, const at::Tensor& x, const at::Tensor& residual);

// Of the node of such a call without residual, or with one that its own node keeps; else null.
const RecipeHolder* batch_norm_recipe(torch::autograd::Node& node);

}  // namespace halftone::nn
