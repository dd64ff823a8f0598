#include "halftone/nn/batch_norm_operations.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <new>

namespace halftone::nn {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<at::Tensor>;
using ForwardTensors = std::tuple<Tensor, Tensor, Tensor>;
using BackwardTensors = std::tuple<Tensor, Tensor, Tensor, Tensor>;

// An operation returns no undefined tensors: these stand for those that there are none of.
Tensor no_tensor(const Tensor& like) { return at::empty({0}, like.options().dtype(at::kFloat)); }

// A block has no kernel of LibTorch's to fall back to: LibTorch's error for want of memory.
template <class Run>
void run_in_memory(const char* name, Run&& run) {
  try {
    run();
  } catch (const std::bad_alloc&) {
    TORCH_CHECK_WITH(OutOfMemoryError, false, name, ": no memory for the kernel's workspace");
  }
}

ForwardTensors forward_outputs(const Tensor& x, bool training) {
  const auto options = x.options().dtype(at::kFloat);
  const std::int64_t length = training ? x.size(1) : 0;
  return {at::empty_like(x, x.suggest_memory_format()), at::empty({length}, options),
          at::empty({length}, options)};
}

ForwardTensors forward_meta(const Tensor& x, const OptionalTensor&, const OptionalTensor&,
                            const OptionalTensor&, const OptionalTensor&, const OptionalTensor&,
                            bool training, double, double) {
  return forward_outputs(x, training);
}

ForwardTensors forward_cpu(const Tensor& x, const OptionalTensor& residual,
                           const OptionalTensor& weight, const OptionalTensor& bias,
                           const OptionalTensor& running_mean, const OptionalTensor& running_var,
                           bool training, double momentum, double eps) {
  const ops::BatchNormForward call{x,
                                   weight,
                                   bias,
                                   running_mean,
                                   running_var,
                                   training,
                                   momentum,
                                   eps,
                                   residual.value_or(at::Tensor()),
                                   true};
  const auto parameters = ops::batch_norm_takes(call);
  TORCH_CHECK(parameters && x.dim() == 4,
              "halftone::batch_norm_relu_forward: expected an fp16 or bf16 tensor of 4 dimensions "
              "and dense parameters of one format, got ",
              x.toString(), " ", x.sizes());
  ForwardTensors results = forward_outputs(x, training);
  run_in_memory("halftone::batch_norm_relu_forward", [&] {
    ops::batch_norm_forward(call, *parameters, std::get<0>(results), std::get<1>(results),
                            std::get<2>(results));
  });
  return results;
}

BackwardTensors backward_outputs(const Tensor& x, const OptionalTensor& weight,
                                 const OptionalTensor& bias, const std::array<bool, 4>& wanted) {
  const auto image = [&](bool is_wanted) {
    return is_wanted ? at::empty_like(x, x.suggest_memory_format()) : no_tensor(x);
  };
  return {image(wanted[0]), image(wanted[1]), wanted[2] ? at::empty_like(*weight) : no_tensor(x),
          wanted[3] ? at::empty_like(*bias) : no_tensor(x)};
}

BackwardTensors backward_meta(const Tensor&, const Tensor& x, const OptionalTensor&,
                              const OptionalTensor& weight, const OptionalTensor& bias,
                              const OptionalTensor&, const OptionalTensor&, const OptionalTensor&,
                              const OptionalTensor&, bool, double, std::array<bool, 4> wanted) {
  return backward_outputs(x, weight, bias, wanted);
}

BackwardTensors backward_cpu(const Tensor& gradient, const Tensor& x, const OptionalTensor& y,
                             const OptionalTensor& weight, const OptionalTensor& bias,
                             const OptionalTensor& running_mean, const OptionalTensor& running_var,
                             const OptionalTensor& mean, const OptionalTensor& invstd,
                             bool training, double eps, std::array<bool, 4> wanted) {
  const auto parameters = ops::batch_norm_takes(
      {x, weight, bias, running_mean, running_var, training, /*momentum=*/0, eps});
  TORCH_CHECK(parameters && gradient.sizes() == x.sizes() &&
                  gradient.scalar_type() == x.scalar_type() && (!training || (mean && invstd)),
              "halftone::batch_norm_relu_backward: expected tensors as forward took and gave them, "
              "got a gradient of ",
              gradient.toString(), " ", gradient.sizes(), " for ", x.toString(), " ", x.sizes());
  const BackwardTensors results = backward_outputs(x, weight, bias, wanted);
  ops::BatchNormGradients found;
  if (wanted[0]) found.input = std::get<0>(results);
  if (wanted[1]) found.residual = std::get<1>(results);
  if (wanted[2]) found.weight = std::get<2>(results);
  if (wanted[3]) found.bias = std::get<3>(results);
  ops::BatchNormBackward call{gradient, x,      weight,   running_mean, running_var,
                              mean,     invstd, training, eps};
  call.mask = y ? kernels::BatchNormMask::output : kernels::BatchNormMask::input;
  call.output = y.value_or(at::Tensor());
  call.bias = bias.value_or(at::Tensor());
  run_in_memory("halftone::batch_norm_relu_backward",
                [&] { ops::batch_norm_backward(call, *parameters, found); });
  return results;
}

template <class Function>
const auto& operation(const char* name) {
  static const auto handle =
      c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Function>();
  return handle;
}

}  // namespace

FusedResult call_batch_norm_relu_forward(const Tensor& x, const OptionalTensor& residual,
                                         const OptionalTensor& weight, const OptionalTensor& bias,
                                         const OptionalTensor& running_mean,
                                         const OptionalTensor& running_var, bool training,
                                         double momentum, double eps) {
  auto [y, mean, invstd] =
      operation<decltype(forward_cpu)>("halftone::batch_norm_relu_forward")
          .call(x, residual, weight, bias, running_mean, running_var, training, momentum, eps);
  if (!training) return {y, {}, {}};
  return {y, mean, invstd};
}

BackwardTensors call_batch_norm_relu_backward(
    const Tensor& gradient, const Tensor& x, const OptionalTensor& y, const OptionalTensor& weight,
    const OptionalTensor& bias, const OptionalTensor& running_mean,
    const OptionalTensor& running_var, const OptionalTensor& mean, const OptionalTensor& invstd,
    bool training, double eps, std::array<bool, 4> wanted) {
  return operation<decltype(backward_cpu)>("halftone::batch_norm_relu_backward")
      .call(gradient, x, y, weight, bias, running_mean, running_var, mean, invstd, training, eps,
            wanted);
}

Tensor batch_norm_relu_again(const Tensor& x, const Tensor& residual, const FusedNorm& norm,
                             const Tensor& mean, const Tensor& invstd) {
  const Tensor y = at::empty_like(x, x.suggest_memory_format());
  ops::BatchNormForward call = norm.forward_call(x, residual);
  call.statistics_given = norm.training;
  run_in_memory("batch_norm_relu", [&] {
    ops::batch_norm_forward(call, *ops::batch_norm_takes(call), y, mean, invstd);
  });
  return y;
}

TORCH_LIBRARY_FRAGMENT(halftone, m) {
  m.def(
      "batch_norm_relu_forward(Tensor x, Tensor? residual, Tensor? weight, Tensor? bias, "
      "Tensor(a!)? running_mean, Tensor(b!)? running_var, bool training, float momentum, float "
      "eps) "
      "-> (Tensor y, Tensor mean, Tensor invstd)");
  m.def(
      "batch_norm_relu_backward(Tensor gradient, Tensor x, Tensor? y, Tensor? weight, Tensor? "
      "bias, "
      "Tensor? running_mean, Tensor? running_var, Tensor? mean, Tensor? invstd, bool training, "
      "float eps, bool[4] wanted) -> (Tensor, Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(halftone, CPU, m) {
  m.impl("batch_norm_relu_forward", forward_cpu);
  m.impl("batch_norm_relu_backward", backward_cpu);
}

TORCH_LIBRARY_IMPL(halftone, Meta, m) {
  m.impl("batch_norm_relu_forward", forward_meta);
  m.impl("batch_norm_relu_backward", backward_meta);
}

}  // namespace halftone::nn
