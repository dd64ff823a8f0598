#include "halftone/kernels/average_pool/average_pool.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/_adaptive_avg_pool2d_backward_cpu_dispatch.h>
#include <ATen/ops/_adaptive_avg_pool2d_cpu_dispatch.h>
#include <ATen/ops/avg_pool2d_backward_cpu_dispatch.h>
#include <ATen/ops/avg_pool2d_backward_meta.h>
#include <ATen/ops/avg_pool2d_cpu_dispatch.h>
#include <ATen/ops/avg_pool2d_meta.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mean_cpu_dispatch.h>
#include <ATen/ops/mean_meta.h>

#include "halftone/ops/overrides/half_tensor.h"
#include "halftone/ops/overrides/override.h"

namespace halftone::ops {
namespace {

using at::IntArrayRef;
using at::Tensor;
using kernels::AverageAxis;
using kernels::AverageShape;

std::int64_t average_number(IntArrayRef list, std::size_t axis) {
  return list[list.size() == 1 ? 0 : axis];
}

// Shape of the planes of `self` but for the axes.
AverageShape average_planes(const Tensor& self) {
  AverageShape s{};
  s.format = half_format(self);
  s.channels_last = self.suggest_memory_format() == at::MemoryFormat::ChannelsLast;
  s.batch = self.dim() == 4 ? self.size(0) : 1;
  s.channels = self.size(-3);
  return s;
}

AverageAxis adaptive_axis(std::int64_t in, std::int64_t out) {
  return {in, out, true, 1, 1, 0, false};
}

// What the kernel takes. The lengths of the lists are LibTorch's to check.
bool average_fits(const Tensor& self, IntArrayRef kernel, IntArrayRef stride, IntArrayRef padding,
                  std::optional<std::int64_t> divisor) {
  if (!is_half(self) || (self.dim() != 3 && self.dim() != 4) || (divisor && *divisor <= 0) ||
      self.size(-1) > kernels::kAverageWidth - 2 * kernels::kAverageKernel || stride.size() > 2) {
    return false;
  }
  for (IntArrayRef each : {kernel, padding}) {
    if (each.size() != 1 && each.size() != 2) return false;
  }
  return average_number(kernel, 0) <= kernels::kAverageKernel &&
         average_number(kernel, 1) <= kernels::kAverageKernel;
}

AverageShape average_shape(const Tensor& self, IntArrayRef out, IntArrayRef kernel,
                           IntArrayRef stride, IntArrayRef padding, bool count_include_pad,
                           std::optional<std::int64_t> divisor) {
  const IntArrayRef steps = stride.empty() ? kernel : stride;
  const auto axis = [&](std::size_t i) {
    const auto from_end = static_cast<std::int64_t>(i) - 2;
    return AverageAxis{
        self.size(from_end),       out[out.size() - 2 + i],  false,
        average_number(kernel, i), average_number(steps, i), average_number(padding, i),
        count_include_pad};
  };
  AverageShape s = average_planes(self);
  s.h = axis(0), s.w = axis(1);
  s.divisor = divisor.value_or(0);
  return s;
}

Tensor avg_pool2d(const Tensor& self, IntArrayRef kernel, IntArrayRef stride, IntArrayRef padding,
                  bool ceil_mode, bool count_include_pad, std::optional<std::int64_t> divisor) {
  // LibTorch's own kernel is as fast on channels.
  if (!average_fits(self, kernel, stride, padding, divisor) ||
      self.suggest_memory_format() == at::MemoryFormat::ChannelsLast) {
    return at::cpu::avg_pool2d(self, kernel, stride, padding, ceil_mode, count_include_pad,
                               divisor);
  }
  Outputs<at::meta::structured_avg_pool2d> outputs;
  outputs.meta(self, kernel, stride, padding, ceil_mode, count_include_pad, divisor);
  const Tensor input = self.contiguous(self.suggest_memory_format());
  kernels::average_pool(
      {average_shape(self, outputs[0].sizes(), kernel, stride, padding, count_include_pad, divisor),
       half_data(input), mutable_half_data(outputs[0])});
  return outputs[0];
}

Tensor avg_pool2d_backward(const Tensor& grad, const Tensor& self, IntArrayRef kernel,
                           IntArrayRef stride, IntArrayRef padding, bool ceil_mode,
                           bool count_include_pad, std::optional<std::int64_t> divisor) {
  if (!average_fits(self, kernel, stride, padding, divisor) || !is_half(grad)) {
    return at::cpu::avg_pool2d_backward(grad, self, kernel, stride, padding, ceil_mode,
                                        count_include_pad, divisor);
  }
  Outputs<at::meta::structured_avg_pool2d_backward> outputs;
  outputs.meta(grad, self, kernel, stride, padding, ceil_mode, count_include_pad, divisor);
  const Tensor gradient = grad.contiguous(self.suggest_memory_format());
  kernels::average_pool_backward(
      {average_shape(self, grad.sizes(), kernel, stride, padding, count_include_pad, divisor),
       half_data(gradient), mutable_half_data(outputs[0])});
  return outputs[0];
}

void install_avg_pool2d(torch::Library& library) {
  library.impl("avg_pool2d", avg_pool2d);
  library.impl("avg_pool2d_backward", avg_pool2d_backward);
}

// Contiguous planes to several means: LibTorch's kernel is as fast.
bool adaptive_fits(const Tensor& self, IntArrayRef out) {
  if (!is_half(self) || self.dim() != 4 || out.size() != 2 || out[0] < 1 || out[1] < 1) {
    return false;
  }
  return self.suggest_memory_format() == at::MemoryFormat::ChannelsLast ||
         (out[0] == 1 && out[1] == 1);
}

AverageShape adaptive_shape(const Tensor& self, IntArrayRef out) {
  AverageShape s = average_planes(self);
  s.h = adaptive_axis(self.size(2), out[0]), s.w = adaptive_axis(self.size(3), out[1]);
  return s;
}

Tensor adaptive_avg_pool2d(const Tensor& self, IntArrayRef out) {
  if (!adaptive_fits(self, out)) return at::cpu::_adaptive_avg_pool2d(self, out);
  const auto format = self.suggest_memory_format();
  const Tensor input = self.contiguous(format);
  Tensor output =
      at::empty({self.size(0), self.size(1), out[0], out[1]}, self.options().memory_format(format));
  kernels::average_pool({adaptive_shape(self, out), half_data(input), mutable_half_data(output)});
  return output;
}

Tensor adaptive_avg_pool2d_backward(const Tensor& grad, const Tensor& self) {
  if (grad.dim() != 4 || grad.scalar_type() != self.scalar_type() ||
      !adaptive_fits(self, grad.sizes().slice(2)) ||
      grad.sizes().slice(0, 2) != self.sizes().slice(0, 2)) {
    return at::cpu::_adaptive_avg_pool2d_backward(grad, self);
  }
  const auto format = self.suggest_memory_format();
  const Tensor gradient = grad.contiguous(format);
  Tensor result = at::empty(self.sizes(), self.options().memory_format(format));
  kernels::average_pool_backward({adaptive_shape(self, grad.sizes().slice(2)), half_data(gradient),
                                  mutable_half_data(result)});
  return result;
}

void install_adaptive_avg_pool2d(torch::Library& library) {
  library.impl("_adaptive_avg_pool2d", adaptive_avg_pool2d);
  library.impl("_adaptive_avg_pool2d_backward", adaptive_avg_pool2d_backward);
}

// Over the last two of four dimensions: what at::adaptive_avg_pool2d calls for one output.
bool is_plane_mean(const Tensor& self, at::OptionalIntArrayRef dim,
                   std::optional<at::ScalarType> type) {
  if (!is_half(self) || self.dim() != 4 || (type && *type != self.scalar_type()) || !dim ||
      dim->size() != 2) {
    return false;
  }
  const auto first = (*dim)[0] < 0 ? (*dim)[0] + 4 : (*dim)[0];
  const auto second = (*dim)[1] < 0 ? (*dim)[1] + 4 : (*dim)[1];
  return (first == 2 && second == 3) || (first == 3 && second == 2);
}

Tensor mean_dim(const Tensor& self, at::OptionalIntArrayRef dim, bool keepdim,
                std::optional<at::ScalarType> type) {
  if (!is_plane_mean(self, dim, type)) return at::cpu::mean(self, dim, keepdim, type);
  Outputs<at::meta::structured_mean_dim> outputs;
  outputs.meta(self, dim, keepdim, type);
  if (!outputs[0].is_contiguous()) return at::cpu::mean(self, dim, keepdim, type);
  const Tensor input = self.contiguous(self.suggest_memory_format());
  kernels::average_pool(
      {adaptive_shape(self, {1, 1}), half_data(input), mutable_half_data(outputs[0])});
  return outputs[0];
}

void install_mean(torch::Library& library) { library.impl("mean.dim", mean_dim); }

const OverrideRegistration kAvgPool{{"avg_pool2d", install_avg_pool2d}};
const OverrideRegistration kAdaptiveAvgPool{{"adaptive_avg_pool2d", install_adaptive_avg_pool2d}};
const OverrideRegistration kMean{{"mean", install_mean}};

}  // namespace
}  // namespace halftone::ops
