#include "halftone/nn/layer_norm_function.h"

#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/native_layer_norm_backward.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <array>
#include <vector>

namespace halftone::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using MaybeTensor = std::optional<at::Tensor>;

MaybeTensor maybe(const at::Tensor& tensor) {
  return tensor.defined() ? MaybeTensor(tensor) : std::nullopt;
}

struct FusedLayerNorm : torch::autograd::Function<FusedLayerNorm> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, at::IntArrayRef shape,
                            const MaybeTensor& weight, const MaybeTensor& bias, double eps) {
    const auto [y, mean, invstd] = at::native_layer_norm(x, shape, weight, bias, eps);
    const at::Tensor none;
    ctx->save_for_backward({x, weight.value_or(none), bias.value_or(none), mean, invstd});
    ctx->saved_data["shape"] = shape;
    const auto again = [shape = shape.vec(), weight, bias, eps](const variable_list& kept) {
      return std::get<0>(at::native_layer_norm(kept[0], shape, weight, bias, eps));
    };
    ctx->saved_data["recipe"] = c10::IValue::make_capsule(c10::make_intrusive<RecipeHolder>(
        variable_list{x}, std::vector<at::Tensor>{weight.value_or(none), bias.value_or(none)},
        again));
    return y;
  }

  // Differentiable itself, as the operation that it calls is.
  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    variable_list results(5);
    if (!gradients[0].defined()) return results;
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    const variable_list saved = ctx->get_saved_variables();
    std::size_t edge = 0;
    const auto wanted = [&](const at::Tensor& input) {
      return input.defined() && ctx->needs_input_grad(edge++);
    };
    const std::array<bool, 3> mask{wanted(saved[0]), wanted(saved[1]), wanted(saved[2])};
    std::tie(results[0], results[2], results[3]) = at::native_layer_norm_backward(
        gradients[0], saved[0], ctx->saved_data["shape"].toIntVector(), saved[3], saved[4],
        maybe(saved[1]), maybe(saved[2]), mask);
    return results;
  }
};

}  // namespace

at::Tensor half_layer_norm(const at::Tensor& x, at::IntArrayRef normalized_shape,
                           const MaybeTensor& weight, const MaybeTensor& bias, double eps) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  if (!at::GradMode::is_enabled()) {
    return std::get<0>(at::native_layer_norm(x, normalized_shape, weight, bias, eps));
  }
  return FusedLayerNorm::apply(x, normalized_shape, weight, bias, eps);
}

const RecipeHolder* layer_norm_recipe(torch::autograd::Node& node) {
  return recipe_holder<FusedLayerNorm>(node);
}

}  // namespace halftone::nn
