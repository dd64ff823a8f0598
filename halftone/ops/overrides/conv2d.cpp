#include "halftone/ops/overrides/conv2d.h"

#include <ATen/Context.h>
#include <ATen/ops/convolution_compositeexplicitautograd_dispatch.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "halftone/base/isa.h"
#include "halftone/kernels/depthwise/depthwise.h"
#include "halftone/kernels/transpose/transpose.h"
#include "halftone/ops/overrides/conv2d_in_fp32.h"
#include "halftone/ops/overrides/half_tensor.h"
#include "halftone/ops/overrides/override.h"
#include "halftone/ops/overrides/own_or_stock.h"
#include "halftone/ops/packed_weights.h"

namespace halftone::ops {
namespace {

using at::IntArrayRef;
using at::Tensor;

kernels::Pair2d pair(IntArrayRef list) { return {list.front(), list.back()}; }

bool lists_fit(const ConvolutionCall& call) {
  for (IntArrayRef each : {call.stride, call.padding, call.dilation, call.output_padding}) {
    if (each.size() != 1 && each.size() != 2) return false;
  }
  const auto least = [](IntArrayRef list) { return *std::min_element(list.begin(), list.end()); };
  return least(call.stride) >= 1 && least(call.dilation) >= 1 && least(call.padding) >= 0 &&
         least(call.output_padding) >= 0;
}

// Contiguous planes oneDNN reads in an order of its own, without a transposition: it is ahead but
// for what it leaves to its reference code (multipliers, strided backward-data, backward-weights of
// windows from 5 x 5 on). In channels_last it is ahead forward, for small windows of many channels
// (bench/depthwise.cpp: from 144 channels on we had 0.76 to 1.1 of its speed, below 1.1 to 1.5).
bool one_dnn_depthwise(const Tensor& input, const Tensor& weight, const kernels::Conv2dShape& shape,
                       ConvolutionPass pass) {
  constexpr std::int64_t kLargeWindow = 25, kManyChannels = 128;
  if (shape.filters != shape.channels) return false;
  const bool small = shape.window.h * shape.window.w < kLargeWindow;
  if (conv2d_memory_format(input, weight) == at::MemoryFormat::ChannelsLast) {
    return pass == ConvolutionPass::forward && small && shape.channels >= kManyChannels;
  }
  const bool strided = shape.stride.h > 1 || shape.stride.w > 1;
  return pass == ConvolutionPass::forward || (!strided && small);
}

Tensor convolution_forward(const Tensor& input, const Tensor& weight, const Tensor& bias,
                           const kernels::Conv2dShape& shape, bool transposed) {
  const auto kept = transposed ? nullptr : find_packed(weight, WeightUse::convolution);
  const Tensor image = channels_last(input), filters = kept ? kept->dense : channels_last(weight);
  kernels::Conv2dArgs args;
  args.format = half_format(input);
  args.shape = shape;
  args.weight = half_data(filters);
  Tensor output;
  if (transposed) {
    output =
        empty_channels_last({shape.batch, shape.channels, shape.input.h, shape.input.w}, input);
    args.dy = half_data(image);
    args.dx = mutable_half_data(output);
    kernels::conv2d_backward_data(args);
    if (bias.defined()) output.add_(bias.view({1, -1, 1, 1}));
  } else {
    output =
        empty_channels_last({shape.batch, shape.filters, shape.output.h, shape.output.w}, input);
    const Tensor dense = bias.defined() ? bias.contiguous() : bias;
    args.x = half_data(image);
    if (kept) args.packed_weight = &kept->packed;
    args.bias = bias.defined() ? half_data(dense) : nullptr;
    args.y = mutable_half_data(output);
    kernels::conv2d_forward(args);
  }
  return in_memory_format(output, conv2d_memory_format(input, weight));
}

Tensor convolution(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
                   IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation, bool transposed,
                   IntArrayRef output_padding, std::int64_t groups) {
  const ConvolutionCall call{stride, padding, dilation, transposed, output_padding, groups};
  const bool has_bias = bias && bias->defined();
  const auto shape = conv2d_shape(input, weight, call);
  const bool fits =
      shape && (!has_bias || (bias->scalar_type() == input.scalar_type() && bias->dim() == 1 &&
                              bias->size(0) == (transposed ? shape->channels : shape->filters)));
  const auto stock = fits ? stock_convolution(input, weight, *shape, ConvolutionPass::forward)
                          : StockConvolution::yes;
  const auto stock_kernel = [&] {
    return at::compositeexplicitautograd::convolution(input, weight, bias, stride, padding,
                                                      dilation, transposed, output_padding, groups);
  };
  if (stock == StockConvolution::yes) return stock_kernel();
  if (stock == StockConvolution::in_fp32) {
    return convolution_in_fp32(input, weight, bias, *shape, call);
  }
  const Tensor defined_bias = has_bias ? *bias : Tensor();
  const auto own = [&] {
    if (input.dim() == 4) {
      return convolution_forward(input, weight, defined_bias, *shape, transposed);
    }
    return convolution_forward(input.unsqueeze(2), weight.unsqueeze(2), defined_bias, *shape,
                               transposed)
        .squeeze(2);
  };
  return own_or_stock("conv2d", own, stock_kernel);
}

void install_convolution(torch::Library& library) { library.impl("convolution", convolution); }

const OverrideRegistration kConvolution{{"conv2d", install_convolution}};

}  // namespace

std::optional<kernels::Conv2dShape> conv2d_shape(const Tensor& input, const Tensor& weight,
                                                 const ConvolutionCall& call) {
  if (!is_half(input) || !is_half(weight) || input.scalar_type() != weight.scalar_type() ||
      (input.dim() != 4 && input.dim() != 3) || weight.dim() != input.dim() || !lists_fit(call) ||
      call.groups < 1 || weight.size(0) % call.groups != 0) {
    return std::nullopt;
  }
  const bool line = input.dim() == 3;  // one spatial dimension: the columns
  const auto axis = [&](IntArrayRef list, std::int64_t neutral) {
    const kernels::Pair2d both = pair(list);
    return line ? kernels::Pair2d{neutral, both.w} : both;
  };
  const kernels::Pair2d given{line ? 1 : input.size(2), input.size(-1)};
  kernels::Conv2dShape s;
  s.batch = input.size(0);
  s.groups = call.groups;
  s.window = {line ? 1 : weight.size(2), weight.size(-1)};
  s.stride = axis(call.stride, 1);
  s.padding = axis(call.padding, 0);
  s.dilation = axis(call.dilation, 1);
  s.filters = weight.size(0);
  s.channels = weight.size(1) * call.groups;
  if (input.size(1) != (call.transposed ? s.filters : s.channels)) return std::nullopt;
  if (call.transposed) {
    const kernels::Pair2d more = axis(call.output_padding, 0);
    const auto whole = [](std::int64_t size, std::int64_t window, std::int64_t stride,
                          std::int64_t padding, std::int64_t dilation, std::int64_t extra) {
      return (size - 1) * stride - 2 * padding + dilation * (window - 1) + extra + 1;
    };
    s.output = given;
    s.input = {whole(given.h, s.window.h, s.stride.h, s.padding.h, s.dilation.h, more.h),
               whole(given.w, s.window.w, s.stride.w, s.padding.w, s.dilation.w, more.w)};
    if (s.input.h < 1 || s.input.w < 1) return std::nullopt;
    const kernels::Pair2d back = conv2d_output(s);
    if (back.h != given.h || back.w != given.w) return std::nullopt;
  } else {
    s.input = given;
    s.output = conv2d_output(s);
    if (s.output.h < 1 || s.output.w < 1) return std::nullopt;
  }
  return s;
}

namespace {

bool taps_meet_input(std::int64_t window, std::int64_t stride, std::int64_t padding,
                     std::int64_t dilation, std::int64_t input, std::int64_t output) {
  for (std::int64_t tap = 0; tap < window; ++tap) {
    const std::int64_t first = tap * dilation - padding;  // what the first output sees
    const std::int64_t inside = first < 0 ? (stride - 1 - first) / stride : 0;
    if (inside >= output || inside * stride + first >= input) return false;
  }
  return true;
}

// Otherwise some weight meets padding alone. oneDNN's bf16 kernels (in LibTorch 2.13) leave its
// gradient, which is 0, unset (RandomShapes.Conv2d, case 331).
bool every_tap_meets_input(const kernels::Conv2dShape& s) {
  return taps_meet_input(s.window.h, s.stride.h, s.padding.h, s.dilation.h, s.input.h,
                         s.output.h) &&
         taps_meet_input(s.window.w, s.stride.w, s.padding.w, s.dilation.w, s.input.w, s.output.w);
}

// Up to which width (channels or filters of a group) LibTorch's fp32 kernel is ahead in spite of
// the conversions (bench/products.cpp). The product fills tiles of 32 or 64 sums with these few,
// and reads a window's group tap by tap, which costs the same however few they are: at 1 to 3 it
// took 2 to 4 times fp32's time; in groups of 4 channels 22 times, of 16 six, of 64 up to 1.5, of
// 128 up to 1.9 for the weights' gradient alone. Windows of one tap lie in memory as they are, in
// channels_last. On the rungs above by the ratio of the units: fp16's is twice as fast, AMX's ten
// times.
std::int64_t narrowest_without_groups() { return isa() <= Isa::avx512 ? 4 : 0; }

std::int64_t narrowest_group(const Tensor& input, const Tensor& weight,
                             const kernels::Conv2dShape& s, ConvolutionPass pass) {
  if (s.groups == 1) return narrowest_without_groups();
  if (s.window.h * s.window.w == 1 &&
      conv2d_memory_format(input, weight) == at::MemoryFormat::ChannelsLast) {
    return 64;
  }
  if (isa() == Isa::amx) return 32;
  if (isa() == Isa::avx512_fp16) return 64;
  return pass == ConvolutionPass::backward_weights ? 256 : 128;
}

// oneDNN's bf16 kernels are behind its fp32 kernels below this width of a group.
std::int64_t narrowest_in_bf16(const kernels::Conv2dShape& s) { return s.groups == 1 ? 0 : 4; }

bool one_dnn_convolves(at::ScalarType format) {
  return format == at::kBFloat16 && isa() >= Isa::avx512 && isa() < Isa::amx &&
         cpu_features().avx512_bf16 && at::globalContext().userEnabledMkldnn();
}

}  // namespace

StockConvolution stock_convolution(const Tensor& input, const Tensor& weight,
                                   const kernels::Conv2dShape& shape, ConvolutionPass pass) {
  if (pass != ConvolutionPass::forward && !every_tap_meets_input(shape)) {
    return StockConvolution::no;
  }
  const bool one_dnn = one_dnn_convolves(input.scalar_type());
  if (kernels::is_depthwise(shape)) {
    return one_dnn && one_dnn_depthwise(input, weight, shape, pass) ? StockConvolution::yes
                                                                    : StockConvolution::no;
  }
  const std::int64_t width = std::min(shape.channels, shape.filters) / shape.groups;
  if (width < (one_dnn ? narrowest_in_bf16(shape) : narrowest_group(input, weight, shape, pass))) {
    return StockConvolution::in_fp32;
  }
  return one_dnn ? StockConvolution::yes : StockConvolution::no;
}

bool reads_packed_weights(const Tensor& weight) {
  return !one_dnn_convolves(weight.scalar_type()) &&
         std::min(weight.size(0), weight.size(1)) >= narrowest_without_groups();
}

at::MemoryFormat conv2d_memory_format(const Tensor& input, const Tensor& weight) {
  const bool last = input.suggest_memory_format() == at::MemoryFormat::ChannelsLast ||
                    weight.suggest_memory_format() == at::MemoryFormat::ChannelsLast;
  return last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

Tensor channels_last(const Tensor& tensor) {
  return in_memory_format(tensor, at::MemoryFormat::ChannelsLast);
}

// LibTorch's own copy between the two formats moves element by element.
Tensor in_memory_format(const Tensor& tensor, at::MemoryFormat format) {
  const bool last = format == at::MemoryFormat::ChannelsLast;
  const auto other = last ? at::MemoryFormat::Contiguous : at::MemoryFormat::ChannelsLast;
  if (tensor.is_contiguous(format) || !tensor.is_contiguous(other))
    return tensor.contiguous(format);
  Tensor copy = at::empty(tensor.sizes(), tensor.options().memory_format(format));
  const std::int64_t channels = tensor.size(1), pixels = tensor.size(2) * tensor.size(3);
  kernels::transpose_halves({tensor.size(0), last ? channels : pixels, last ? pixels : channels,
                             half_data(tensor), mutable_half_data(copy)});
  return copy;
}

Tensor empty_channels_last(IntArrayRef sizes, const Tensor& like) {
  return at::empty(sizes, like.options().memory_format(at::MemoryFormat::ChannelsLast));
}

}  // namespace halftone::ops
