#include "halftone/kernels/upsample/upsample.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/upsample_bilinear2d_backward_cpu_dispatch.h>
#include <ATen/ops/upsample_bilinear2d_backward_meta.h>
#include <ATen/ops/upsample_bilinear2d_cpu_dispatch.h>
#include <ATen/ops/upsample_bilinear2d_meta.h>

#include "halftone/ops/overrides/half_tensor.h"
#include "halftone/ops/overrides/override.h"
#include "halftone/ops/overrides/own_or_stock.h"

namespace halftone::ops {
namespace {

using at::IntArrayRef;
using at::Tensor;
using Scale = std::optional<double>;

constexpr const char* kUpsampleName = "upsample_bilinear2d";

// small: [batch, channels, h, w] of the side that is read in forward; large: of the other.
kernels::UpsampleShape upsample_shape(const Tensor& format_of, IntArrayRef small, IntArrayRef large,
                                      bool align_corners, Scale h, Scale w) {
  kernels::UpsampleShape s{};
  s.format = half_format(format_of);
  s.channels_last =
      format_of.is_contiguous(at::MemoryFormat::ChannelsLast) && !format_of.is_contiguous();
  s.batch = small[0], s.channels = small[1];
  s.h = {small[2], large[2], h.value_or(0)};
  s.w = {small[3], large[3], w.value_or(0)};
  s.align_corners = align_corners;
  return s;
}

Tensor in_format_of(const Tensor& tensor, const Tensor& other) {
  const bool last = other.is_contiguous(at::MemoryFormat::ChannelsLast) && !other.is_contiguous();
  return tensor.contiguous(last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
}

Tensor run_upsample(const Tensor& self, const Tensor& output, bool align_corners, Scale h,
                    Scale w) {
  const Tensor input = in_format_of(self, output);
  kernels::upsample({upsample_shape(output, self.sizes(), output.sizes(), align_corners, h, w),
                     half_data(input), mutable_half_data(output)});
  return output;
}

Tensor run_upsample_backward(const Tensor& grad, const Tensor& result, bool align_corners, Scale h,
                             Scale w) {
  const Tensor gradient = in_format_of(grad, result);
  kernels::upsample_backward(
      {upsample_shape(result, result.sizes(), grad.sizes(), align_corners, h, w),
       half_data(gradient), mutable_half_data(result)});
  return result;
}

bool upsample_fits(const Tensor& tensor) { return is_half(tensor) && tensor.dim() == 4; }

Tensor upsample_bilinear2d(const Tensor& self, IntArrayRef size, bool align_corners, Scale h,
                           Scale w) {
  const auto stock = [&] { return at::cpu::upsample_bilinear2d(self, size, align_corners, h, w); };
  if (!upsample_fits(self)) return stock();
  const auto own = [&] {
    Outputs<at::meta::structured_upsample_bilinear2d> outputs;
    outputs.meta(self, size, align_corners, h, w);
    return run_upsample(self, outputs[0], align_corners, h, w);
  };
  return own_or_stock(kUpsampleName, own, stock);
}

Tensor upsample_bilinear2d_backward(const Tensor& grad, IntArrayRef size, IntArrayRef input_size,
                                    bool align_corners, Scale h, Scale w) {
  const auto stock = [&] {
    return at::cpu::upsample_bilinear2d_backward(grad, size, input_size, align_corners, h, w);
  };
  if (!upsample_fits(grad)) return stock();
  const auto own = [&] {
    Outputs<at::meta::structured_upsample_bilinear2d_backward> outputs;
    outputs.meta(grad, size, input_size, align_corners, h, w);
    return run_upsample_backward(grad, outputs[0], align_corners, h, w);
  };
  return own_or_stock(kUpsampleName, own, stock);
}

void install_upsample(torch::Library& library) {
  library.impl("upsample_bilinear2d", upsample_bilinear2d);
  library.impl("upsample_bilinear2d_backward", upsample_bilinear2d_backward);
}

const OverrideRegistration kUpsample{{kUpsampleName, install_upsample}};

}  // namespace
}  // namespace halftone::ops
