#include "halftone/nn/batch_norm_function.h"

#include <ATen/SavedTensorHooks.h>
#include <ATen/ops/add.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/relu.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/functional/batchnorm.h>

#include "halftone/nn/batch_norm_operations.h"
#include "halftone/nn/policy_exception.h"
#include "halftone/ops/torch_compat.h"

namespace halftone::nn {
namespace {

using OptionalTensor = std::optional<at::Tensor>;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

OptionalTensor given(const at::Tensor& tensor) {
  return tensor.defined() ? OptionalTensor(tensor) : std::nullopt;
}

FusedResult run_fused(const FusedNorm& norm, const at::Tensor& x, const OptionalTensor& residual) {
  return call_batch_norm_relu_forward(x, residual, norm.weight, norm.bias, norm.running_mean,
                                      norm.running_var, norm.training, norm.momentum, norm.eps);
}

// y: where there is a residual, and it isn't computed again from x and the residual instead.
enum Saved { kX, kWeight, kBias, kRunningMean, kRunningVar, kMean, kInvstd, kY, kResidual };

struct FusedBatchNorm;

// True for the result of an addition whose node keeps it. The next block's own result, of which it
// is the residual, then need not be kept. (So of a chain of residual blocks each second result is.)
bool is_kept_by_its_node(const at::Tensor& tensor) {
  if (!is_plain(tensor) || tensor._version() != 0 || tensor.output_nr() != 0 ||
      !at::SavedTensorDefaultHooks::get_tls_state().stack.empty()) {
    return false;
  }
  const compat::NodePtr node = tensor.grad_fn();
  return node && dynamic_cast<torch::autograd::CppNode<FusedBatchNorm>*>(node.get()) &&
         !recipe_holder<FusedBatchNorm>(*node);
}

struct FusedBatchNorm : torch::autograd::Function<FusedBatchNorm> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x,
                            const OptionalTensor& residual, const OptionalTensor& weight,
                            const OptionalTensor& bias, const OptionalTensor& running_mean,
                            const OptionalTensor& running_var, bool training, double momentum,
                            double eps) {
    const FusedNorm norm{weight, bias, running_mean, running_var, training, momentum, eps};
    const FusedResult result = run_fused(norm, x, residual);
    const at::Tensor none;
    const bool again = !residual || is_kept_by_its_node(*residual);
    // In training those of the batch serve, and backward must not move the running ones.
    ctx->save_for_backward({x, weight.value_or(none), bias.value_or(none),
                            training ? none : *running_mean, training ? none : *running_var,
                            result.mean, result.invstd, again ? none : result.y,
                            again ? residual.value_or(none) : none});
    ctx->saved_data["training"] = training;
    ctx->saved_data["eps"] = eps;
    if (again) ctx->saved_data["recipe"] = recipe(norm, x, residual, result);
    return result.y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    variable_list saved = ctx->get_saved_variables();
    const FusedNorm norm{given(saved[kWeight]),
                         given(saved[kBias]),
                         given(saved[kRunningMean]),
                         given(saved[kRunningVar]),
                         ctx->saved_data["training"].toBool(),
                         0,
                         ctx->saved_data["eps"].toDouble()};
    variable_list results(9);
    if (!gradients[0].defined()) return results;
    if (saved[kResidual].defined()) {
      const at::NoGradGuard no_grad;
      saved[kY] =
          batch_norm_relu_again(saved[kX], saved[kResidual], norm, saved[kMean], saved[kInvstd]);
    }
    if (at::GradMode::is_enabled()) {
      differentiable_backward(norm, saved, gradients[0], results);
    } else {
      fused_backward(*ctx, norm, saved, gradients[0], results);
    }
    return results;
  }

 private:
  static c10::IValue recipe(const FusedNorm& norm, const at::Tensor& x,
                            const OptionalTensor& residual, const FusedResult& result) {
    variable_list kept{x};
    if (residual) kept.push_back(*residual);
    const auto again = [norm, mean = result.mean,
                        invstd = result.invstd](const variable_list& from) {
      return batch_norm_relu_again(from[0], from.size() > 1 ? from[1] : at::Tensor(), norm, mean,
                                   invstd);
    };
    const at::Tensor none;
    return c10::IValue::make_capsule(c10::make_intrusive<RecipeHolder>(
        kept, variable_list{norm.weight.value_or(none), norm.bias.value_or(none)}, again));
  }

  // The graph's inputs, as edges are counted: undefined arguments have none.
  static void fused_backward(AutogradContext& ctx, const FusedNorm& norm,
                             const variable_list& saved, const at::Tensor& gradient,
                             variable_list& results) {
    std::size_t edge = 0;
    const auto wanted = [&](bool defined) { return defined && ctx.needs_input_grad(edge++); };
    const bool for_x = wanted(true), for_residual = wanted(saved[kY].defined()),
               for_weight = wanted(saved[kWeight].defined()),
               for_bias = wanted(saved[kBias].defined());
    const auto found = call_batch_norm_relu_backward(
        gradient, saved[kX], given(saved[kY]), norm.weight, norm.bias, norm.running_mean,
        norm.running_var, given(saved[kMean]), given(saved[kInvstd]), norm.training, norm.eps,
        {for_x, for_residual, for_weight, for_bias});
    if (for_x) results[0] = std::get<0>(found);
    if (for_residual) results[1] = std::get<1>(found);
    if (for_weight) results[2] = std::get<2>(found);
    if (for_bias) results[3] = std::get<3>(found);
  }

  // With LibTorch's operations, so that the result can be differentiated again.
  static void differentiable_backward(const FusedNorm& norm, const variable_list& saved,
                                      const at::Tensor& gradient, variable_list& results) {
    const at::Tensor normalised = norm.normalise(saved[kX]);
    const bool has_residual = saved[kY].defined();
    const at::Tensor passes = at::gt(has_residual ? saved[kY] : normalised, 0);
    const at::Tensor g = at::mul(gradient, passes);
    if (has_residual) results[1] = g;
    const std::size_t places[] = {0, 2, 3};
    const Saved sources[] = {kX, kWeight, kBias};
    variable_list wanted;
    for (Saved each : sources) {
      if (saved[each].defined() && saved[each].requires_grad()) wanted.push_back(saved[each]);
    }
    if (wanted.empty()) return;
    const auto found = torch::autograd::grad({normalised}, wanted, {g}, /*retain_graph=*/true,
                                             /*create_graph=*/true);
    for (std::size_t i = 0, next = 0; i < 3; ++i) {
      const at::Tensor& source = saved[sources[i]];
      if (source.defined() && source.requires_grad()) results[places[i]] = found[next++];
    }
  }
};

bool takes_fused(const FusedNorm& norm, const at::Tensor& x, const at::Tensor& residual) {
  if (!x.device().is_cpu() || x.layout() != at::kStrided || x.dim() != 4) return false;
  if (inside_torch_func()) return false;
  if (!ops::batch_norm_takes(norm.forward_call(x, residual))) return false;
  if (norm.training && x.numel() == x.size(1)) return false;  // LibTorch's error speaks
  if (residual.defined() && (residual.scalar_type() != x.scalar_type() ||
                             residual.sizes() != x.sizes() || !residual.device().is_cpu())) {
    return false;
  }
  return !policy_names("batch_norm", norm.weight);
}

}  // namespace

at::Tensor FusedNorm::normalise(const at::Tensor& x) const {
  const at::Tensor none;
  return torch::nn::functional::detail::batch_norm(
      x, running_mean.value_or(none), running_var.value_or(none), weight.value_or(none),
      bias.value_or(none), training, momentum, eps);
}

at::Tensor batch_norm_relu(const FusedNorm& norm, const at::Tensor& x, const at::Tensor& residual) {
  if (!takes_fused(norm, x, residual)) {
    // In place where it is the same: LibTorch's backward pass doesn't need what normalisation gave.
    at::Tensor y = norm.normalise(x);
    if (!residual.defined()) return y.relu_();
    if (residual.scalar_type() != y.scalar_type() || residual.sizes() != y.sizes()) {
      return at::add(y, residual).relu_();
    }
    return y.add_(residual).relu_();
  }
  if (!at::GradMode::is_enabled()) return run_fused(norm, x, given(residual)).y;
  return FusedBatchNorm::apply(x, given(residual), norm.weight, norm.bias, norm.running_mean,
                               norm.running_var, norm.training, norm.momentum, norm.eps);
}

const RecipeHolder* batch_norm_recipe(torch::autograd::Node& node) {
  return recipe_holder<FusedBatchNorm>(node);
}

}  // namespace halftone::nn
