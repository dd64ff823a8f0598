// Layer normalisation of half tensors as an autograd function.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/function.h>

#include "halftone/nn/recipe.h"

namespace halftone::nn {

// at::native_layer_norm's first result, in x's format also under autocast. Kept for backward: x,
// and a mean and an invstd for each normalised group.
at::Tensor half_layer_norm(const at::Tensor& x, at::IntArrayRef normalized_shape,
                           const std::optional<at::Tensor>& weight,
                           const std::optional<at::Tensor>& bias, double eps);

// Of the node of such a call; null for other nodes.
const RecipeHolder* layer_norm_recipe(torch::autograd::Node& node);

}  // namespace halftone::nn
