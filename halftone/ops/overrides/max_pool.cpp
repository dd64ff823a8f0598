#include <ATen/core/Tensor.h>
#include <ATen/ops/max_pool2d_with_indices_backward_cpu_dispatch.h>
#include <ATen/ops/max_pool2d_with_indices_backward_meta.h>
#include <ATen/ops/max_pool2d_with_indices_cpu_dispatch.h>
#include <ATen/ops/max_pool2d_with_indices_meta.h>

#include "halftone/kernels/max_pool/max_pool.h"
#include "halftone/ops/overrides/half_tensor.h"
#include "halftone/ops/overrides/override.h"

namespace halftone::ops {
namespace {

using at::IntArrayRef;
using at::Tensor;

std::int64_t pool_axis(IntArrayRef list, std::size_t axis) {
  return list[list.size() == 1 ? 0 : axis];
}

// What the kernel takes. The lengths of the lists are LibTorch's to check.
bool pool_fits(const Tensor& self, IntArrayRef kernel, IntArrayRef stride, IntArrayRef padding,
               IntArrayRef dilation) {
  if (!is_half(self) || (self.dim() != 3 && self.dim() != 4)) return false;
  for (IntArrayRef each : {kernel, padding, dilation}) {
    if (each.size() != 1 && each.size() != 2) return false;
  }
  if (stride.size() > 2) return false;
  const IntArrayRef steps = stride.empty() ? kernel : stride;
  for (std::size_t axis : {0, 1}) {
    if (pool_axis(dilation, axis) != 1 || pool_axis(kernel, axis) > kernels::kMaxPoolKernel ||
        pool_axis(steps, axis) > kernels::kMaxPoolStride) {
      return false;
    }
  }
  return true;
}

kernels::PoolShape pool_shape_of(const Tensor& self, const Tensor& output, IntArrayRef kernel,
                                 IntArrayRef stride, IntArrayRef padding) {
  const IntArrayRef steps = stride.empty() ? kernel : stride;
  kernels::PoolShape s;
  s.format = half_format(self);
  s.channels_last = self.suggest_memory_format() == at::MemoryFormat::ChannelsLast;
  s.batch = self.dim() == 4 ? self.size(0) : 1;
  s.channels = self.size(-3);
  s.in_h = self.size(-2), s.in_w = self.size(-1);
  s.out_h = output.size(-2), s.out_w = output.size(-1);
  s.kernel_h = pool_axis(kernel, 0), s.kernel_w = pool_axis(kernel, 1);
  s.stride_h = pool_axis(steps, 0), s.stride_w = pool_axis(steps, 1);
  s.pad_h = pool_axis(padding, 0), s.pad_w = pool_axis(padding, 1);
  return s;
}

std::tuple<Tensor, Tensor> max_pool2d_with_indices(const Tensor& self, IntArrayRef kernel,
                                                   IntArrayRef stride, IntArrayRef padding,
                                                   IntArrayRef dilation, bool ceil_mode) {
  if (!pool_fits(self, kernel, stride, padding, dilation)) {
    return at::cpu::max_pool2d_with_indices(self, kernel, stride, padding, dilation, ceil_mode);
  }
  Outputs<at::meta::structured_max_pool2d_with_indices, 2> outputs;
  outputs.meta(self, kernel, stride, padding, dilation, ceil_mode);
  const Tensor input = self.contiguous(self.suggest_memory_format());
  kernels::max_pool({pool_shape_of(self, outputs[0], kernel, stride, padding), half_data(input),
                     mutable_half_data(outputs[0]), outputs[1].mutable_data_ptr<std::int64_t>()});
  return {outputs[0], outputs[1]};
}

Tensor max_pool2d_with_indices_backward(const Tensor& grad_output, const Tensor& self,
                                        IntArrayRef kernel, IntArrayRef stride, IntArrayRef padding,
                                        IntArrayRef dilation, bool ceil_mode,
                                        const Tensor& indices) {
  if (!pool_fits(self, kernel, stride, padding, dilation) || !is_half(grad_output) ||
      indices.scalar_type() != at::kLong || self.size(-1) > kernels::kMaxPoolWidth) {
    return at::cpu::max_pool2d_with_indices_backward(grad_output, self, kernel, stride, padding,
                                                     dilation, ceil_mode, indices);
  }
  Outputs<at::meta::structured_max_pool2d_with_indices_backward> outputs;
  outputs.meta(grad_output, self, kernel, stride, padding, dilation, ceil_mode, indices);
  const auto format = self.suggest_memory_format();
  const Tensor gradient = grad_output.contiguous(format), places = indices.contiguous(format);
  kernels::max_pool_backward({pool_shape_of(self, grad_output, kernel, stride, padding),
                              half_data(gradient), places.const_data_ptr<std::int64_t>(),
                              mutable_half_data(outputs[0])});
  return outputs[0];
}

void install_max_pool(torch::Library& library) {
  library.impl("max_pool2d_with_indices", max_pool2d_with_indices);
  library.impl("max_pool2d_with_indices_backward", max_pool2d_with_indices_backward);
}

const OverrideRegistration kMaxPool{{"max_pool2d", install_max_pool}};

}  // namespace
}  // namespace halftone::ops
