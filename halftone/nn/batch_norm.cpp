#include "halftone/nn/batch_norm.h"

#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/relu.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <vector>

#include "halftone/ops/batch_norm_ops.h"
#include "halftone/precision/autocast_region.h"
#include "halftone/precision/cast_table.h"

namespace halftone::nn {
namespace {

using OptionalTensor = std::optional<at::Tensor>;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// One call of either form.
struct FusedNorm {
  OptionalTensor weight, bias, running_mean, running_var;
  bool training;
  double momentum, eps;

  at::Tensor normalise(const at::Tensor& x) const {
    const at::Tensor none;
    return torch::nn::functional::detail::batch_norm(
        x, running_mean.value_or(none), running_var.value_or(none), weight.value_or(none),
        bias.value_or(none), training, momentum, eps);
  }
  ops::BatchNormForward forward_call(const at::Tensor& x, const at::Tensor& residual) const {
    return {x, weight, bias, running_mean, running_var, training, momentum, eps, residual, true};
  }
};

OptionalTensor optional_of(const at::Tensor& tensor) {
  return tensor.defined() ? OptionalTensor(tensor) : std::nullopt;
}

// The fused pass without gradients: y, mean, invstd.
struct FusedResult {
  at::Tensor y, mean, invstd;
};

// Tells RecordFunction's observers (profilers, numerics/operation_watch.h) of what no dispatcher
// sees.
void record_begin(at::RecordFunction& record, const char* name,
                  std::initializer_list<at::Tensor> inputs) {
  if (!record.isActive()) return;
  const std::vector<c10::IValue> values(inputs.begin(), inputs.end());
  record.before(name, c10::ArrayRef<const c10::IValue>(values.data(), values.size()));
}
void record_end(at::RecordFunction& record, std::initializer_list<at::Tensor> outputs) {
  if (record.needsOutputs()) {
    record.setOutputs(std::vector<c10::IValue>(outputs.begin(), outputs.end()));
  }
}

FusedResult run_fused(const FusedNorm& norm, const at::Tensor& x, const at::Tensor& residual) {
  at::RecordFunction record(at::RecordScope::FUNCTION);
  record_begin(record, "halftone::batch_norm_relu",
               {x, residual, norm.weight.value_or(at::Tensor()), norm.bias.value_or(at::Tensor())});
  const ops::BatchNormForward call = norm.forward_call(x, residual);
  FusedResult result{at::empty_like(x, x.suggest_memory_format()), {}, {}};
  if (norm.training) {
    const auto options = x.options().dtype(at::kFloat);
    result.mean = at::empty({x.size(1)}, options);
    result.invstd = at::empty({x.size(1)}, options);
  }
  ops::batch_norm_forward(call, *ops::batch_norm_takes(call), result.y, result.mean, result.invstd);
  record_end(record, {result.y, result.mean, result.invstd});
  return result;
}

enum Saved { kX, kWeight, kBias, kRunningMean, kRunningVar, kMean, kInvstd, kY };

struct FusedBatchNorm : torch::autograd::Function<FusedBatchNorm> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x,
                            const OptionalTensor& residual, const OptionalTensor& weight,
                            const OptionalTensor& bias, const OptionalTensor& running_mean,
                            const OptionalTensor& running_var, bool training, double momentum,
                            double eps) {
    const FusedNorm norm{weight, bias, running_mean, running_var, training, momentum, eps};
    const FusedResult result = run_fused(norm, x, residual.value_or(at::Tensor()));
    const at::Tensor none;
    // In training those of the batch serve, and backward must not move the running ones.
    ctx->save_for_backward({x, weight.value_or(none), bias.value_or(none),
                            training ? none : *running_mean, training ? none : *running_var,
                            result.mean, result.invstd, residual ? result.y : none});
    ctx->saved_data["training"] = training;
    ctx->saved_data["eps"] = eps;
    return result.y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const bool training = ctx->saved_data["training"].toBool();
    const double eps = ctx->saved_data["eps"].toDouble();
    const FusedNorm norm{optional_of(saved[kWeight]),
                         optional_of(saved[kBias]),
                         optional_of(saved[kRunningMean]),
                         optional_of(saved[kRunningVar]),
                         training,
                         0,
                         eps};
    variable_list results(9);
    if (!gradients[0].defined()) return results;
    if (at::GradMode::is_enabled()) {
      differentiable_backward(norm, saved, gradients[0], results);
    } else {
      fused_backward(*ctx, norm, saved, gradients[0], results);
    }
    return results;
  }

 private:
  // The graph's inputs, as edges are counted: undefined arguments have none.
  static void fused_backward(AutogradContext& ctx, const FusedNorm& norm,
                             const variable_list& saved, const at::Tensor& gradient,
                             variable_list& results) {
    const at::Tensor& x = saved[kX];
    at::RecordFunction record(at::RecordScope::FUNCTION);
    record_begin(record, "halftone::batch_norm_relu_backward",
                 {gradient, x, norm.weight.value_or(at::Tensor())});
    const bool has_residual = saved[kY].defined();
    std::size_t edge = 0;
    const auto wanted = [&](bool defined) { return defined && ctx.needs_input_grad(edge++); };
    const bool for_x = wanted(true), for_residual = wanted(has_residual),
               for_weight = wanted(saved[kWeight].defined()),
               for_bias = wanted(saved[kBias].defined());
    ops::BatchNormGradients found;
    const auto format = x.suggest_memory_format();
    if (for_x) found.input = at::empty_like(x, format);
    if (for_residual) found.residual = at::empty_like(x, format);
    if (for_weight) found.weight = at::empty_like(saved[kWeight]);
    if (for_bias) found.bias = at::empty_like(saved[kBias]);
    const OptionalTensor mean = optional_of(saved[kMean]), invstd = optional_of(saved[kInvstd]);
    ops::BatchNormBackward call{gradient,         x,    norm.weight, norm.running_mean,
                                norm.running_var, mean, invstd,      norm.training,
                                norm.eps};
    call.mask = has_residual ? kernels::BatchNormMask::output : kernels::BatchNormMask::input;
    call.output = saved[kY];
    call.bias = saved[kBias];
    const auto parameters = ops::batch_norm_takes(
        {x, norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.training, 0, 0});
    ops::batch_norm_backward(call, *parameters, found);
    record_end(record, {found.input, found.residual, found.weight, found.bias});
    results[0] = found.input;
    results[1] = found.residual;
    results[2] = found.weight;
    results[3] = found.bias;
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

// The policy in force treats this layer, or this operation, in its own way.
bool policy_names(const OptionalTensor& weight) {
  static const std::size_t row = [] {
    const auto& table = cast_table();
    return static_cast<std::size_t>(
        std::find_if(table.begin(), table.end(),
                     [](const CastRow& each) { return each.operation == "batch_norm"; }) -
        table.begin());
  }();
  const AutocastRegion* region = AutocastRegion::current();
  const CastPlan* plan = region ? region->plans[*autocast_device_index(c10::kCPU)].get() : nullptr;
  if (!plan) return false;
  if (plan->has_module_rules() && weight && plan->module_rule(*weight) >= 0) return true;
  return row < cast_table().size() && plan->operation_format(row).has_value();
}

bool takes_fused(const FusedNorm& norm, const at::Tensor& x, const at::Tensor& residual) {
  if (!x.device().is_cpu() || x.layout() != at::kStrided || x.dim() != 4) return false;
  if (!ops::batch_norm_takes(norm.forward_call(x, residual))) return false;
  if (norm.training && x.numel() == x.size(1)) return false;  // LibTorch's error speaks
  if (residual.defined() && (residual.scalar_type() != x.scalar_type() ||
                             residual.sizes() != x.sizes() || !residual.device().is_cpu())) {
    return false;
  }
  return !policy_names(norm.weight);
}

// What torch::nn::BatchNorm2d does before it calls the operation: counts the batch, finds momentum.
template <class Module>
FusedNorm begin(Module& module) {
  const auto& options = module.options;
  double momentum = options.momentum().value_or(0.0);
  const bool moves = module.is_training() && options.track_running_stats();
  if (moves && module.num_batches_tracked.defined()) {
    module.num_batches_tracked += 1;
    if (!options.momentum()) momentum = 1.0 / module.num_batches_tracked.template item<double>();
  }
  return {optional_of(module.weight),
          optional_of(module.bias),
          optional_of(module.running_mean),
          optional_of(module.running_var),
          module.is_training() || !options.track_running_stats(),
          momentum,
          options.eps()};
}

at::Tensor run_block(const FusedNorm& norm, const at::Tensor& x, const at::Tensor& residual) {
  if (!takes_fused(norm, x, residual)) {
    // In place where it is the same: LibTorch's backward pass doesn't need what normalisation gave.
    at::Tensor y = norm.normalise(x);
    if (!residual.defined()) return y.relu_();
    if (residual.scalar_type() != y.scalar_type() || residual.sizes() != y.sizes()) {
      return at::add(y, residual).relu_();
    }
    return y.add_(residual).relu_();
  }
  if (!at::GradMode::is_enabled()) return run_fused(norm, x, residual).y;
  return FusedBatchNorm::apply(x, optional_of(residual), norm.weight, norm.bias, norm.running_mean,
                               norm.running_var, norm.training, norm.momentum, norm.eps);
}

void check_four_dimensions(const at::Tensor& x) {
  TORCH_CHECK(x.dim() == 4, "expected 4D input (got ", x.dim(), "D input)");
}

}  // namespace

void BatchNormReLUImpl::_check_input_dim(const at::Tensor& x) { check_four_dimensions(x); }
void BatchNormAddReLUImpl::_check_input_dim(const at::Tensor& x) { check_four_dimensions(x); }

at::Tensor BatchNormReLUImpl::forward(const at::Tensor& x) {
  _check_input_dim(x);
  return run_block(begin(*this), x, at::Tensor());
}

at::Tensor BatchNormAddReLUImpl::forward(const at::Tensor& x, const at::Tensor& residual) {
  _check_input_dim(x);
  return run_block(begin(*this), x, residual);
}

}  // namespace halftone::nn
