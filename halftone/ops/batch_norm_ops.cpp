#include "halftone/ops/batch_norm_ops.h"

#include "halftone/ops/overrides/norm_tensors.h"

namespace halftone::ops {
namespace {

kernels::BatchNormShape batch_norm_shape(const at::Tensor& x) {
  const auto format = x.suggest_memory_format();
  const bool channels_last =
      format == at::MemoryFormat::ChannelsLast || format == at::MemoryFormat::ChannelsLast3d;
  return {channels_last, x.size(0), x.size(1), x.numel() / (x.size(0) * x.size(1))};
}

}  // namespace

std::optional<at::ScalarType> batch_norm_takes(const BatchNormForward& call) {
  if (!is_half(call.input) || call.input.dim() < 2) return std::nullopt;
  if (!call.training && (!is_defined(call.running_mean) || !is_defined(call.running_var))) {
    return std::nullopt;
  }
  const at::ScalarType type =
      parameter_type(call.input.scalar_type(), call.input.size(1),
                     {&call.weight, &call.bias, &call.running_mean, &call.running_var});
  if (type == kNoType) return std::nullopt;
  return type;
}

void batch_norm_forward(const BatchNormForward& call, at::ScalarType parameters,
                        const at::Tensor& output, const at::Tensor& mean,
                        const at::Tensor& invstd) {
  const auto memory_format = call.input.suggest_memory_format();
  const at::Tensor x = call.input.contiguous(memory_format);
  at::Tensor residual;
  if (call.residual.defined()) residual = call.residual.contiguous(memory_format);
  kernels::BatchNormForwardArgs args{};
  args.format = half_format(x);
  args.shape = batch_norm_shape(x);
  args.x = half_data(x);
  args.residual = residual.defined() ? half_data(residual) : nullptr;
  args.relu = call.relu;
  args.y = mutable_half_data(output);
  args.parameters = element_of_type(parameters);
  args.weight = data_or_null(call.weight);
  args.bias = data_or_null(call.bias);
  if (is_defined(call.running_mean)) args.running_mean = call.running_mean->mutable_data_ptr();
  if (is_defined(call.running_var)) args.running_var = call.running_var->mutable_data_ptr();
  args.source = !call.training          ? kernels::BatchNormStatistics::running
                : call.statistics_given ? kernels::BatchNormStatistics::given
                                        : kernels::BatchNormStatistics::computed;
  args.momentum = call.momentum;
  args.eps = call.eps;
  if (call.training) {
    args.statistics = element_of_type(mean.scalar_type());
    args.mean = mean.mutable_data_ptr();
    args.invstd = invstd.mutable_data_ptr();
  }
  args.workspace = norm_workspace(kernels::batch_norm_workspace(args.shape));
  kernels::batch_norm_forward(args);
}

void batch_norm_backward(const BatchNormBackward& call, at::ScalarType parameters,
                         const BatchNormGradients& results) {
  const auto memory_format = call.input.suggest_memory_format();
  const at::Tensor x = call.input.contiguous(memory_format);
  const at::Tensor dy = call.gradient.contiguous(memory_format);
  kernels::BatchNormBackwardArgs args{};
  args.format = half_format(x);
  args.shape = batch_norm_shape(x);
  args.dy = half_data(dy);
  args.x = half_data(x);
  args.y = call.output.defined() ? half_data(call.output) : nullptr;
  args.mask = call.mask;
  args.dx = half_data_or_null(results.input);
  args.dresidual = half_data_or_null(results.residual);
  args.parameters = element_of_type(parameters);
  args.weight = data_or_null(call.weight);
  args.bias = call.bias.defined() ? call.bias.const_data_ptr() : nullptr;
  args.dweight = mutable_data_or_null(results.weight);
  args.dbias = mutable_data_or_null(results.bias);
  args.constant_statistics = !call.training;
  if (call.training) {
    args.statistics = element_of_type(call.mean->scalar_type());
    args.mean = data_or_null(call.mean);
    args.invstd = data_or_null(call.invstd);
  }
  args.running_mean = data_or_null(call.running_mean);
  args.running_var = data_or_null(call.running_var);
  args.eps = call.eps;
  args.workspace = norm_workspace(kernels::batch_norm_workspace(args.shape));
  kernels::batch_norm_backward(args);
}

}  // namespace halftone::ops
