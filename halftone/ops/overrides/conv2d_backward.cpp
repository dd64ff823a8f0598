#include <ATen/core/Tensor.h>
#include <ATen/ops/convolution_backward_compositeexplicitautograd_dispatch.h>
#include <ATen/ops/sum.h>

#include <array>
#include <tuple>

#include "halftone/ops/overrides/conv2d.h"
#include "halftone/ops/overrides/conv2d_in_fp32.h"
#include "halftone/ops/overrides/half_tensor.h"
#include "halftone/ops/overrides/override.h"
#include "halftone/ops/overrides/own_or_stock.h"

namespace halftone::ops {
namespace {

using at::IntArrayRef;
using at::Tensor;
using Gradients = std::tuple<Tensor, Tensor, Tensor>;

Gradients gradients_2d(const Tensor& grad_output, const Tensor& input, const Tensor& weight,
                       const kernels::Conv2dShape& shape, bool transposed,
                       const std::array<bool, 3>& wanted) {
  const Tensor gradient = channels_last(grad_output);
  const auto format = conv2d_memory_format(input, weight);
  kernels::Conv2dArgs args;
  args.format = half_format(input);
  args.shape = shape;
  Tensor grad_input, grad_weight, grad_bias;
  if (wanted[0]) {
    const Tensor filters = channels_last(weight);
    grad_input = empty_channels_last(input.sizes(), input);
    args.weight = half_data(filters);
    if (transposed) {
      args.x = half_data(gradient);
      args.y = mutable_half_data(grad_input);
      kernels::conv2d_forward(args);
    } else {
      args.dy = half_data(gradient);
      args.dx = mutable_half_data(grad_input);
      kernels::conv2d_backward_data(args);
    }
    grad_input = in_memory_format(grad_input, format);
  }
  if (wanted[1]) {
    const Tensor image = channels_last(input);
    grad_weight = empty_channels_last(weight.sizes(), weight);
    args.x = half_data(transposed ? gradient : image);
    args.dy = half_data(transposed ? image : gradient);
    args.dweight = mutable_half_data(grad_weight);
    kernels::conv2d_backward_weights(args);
    grad_weight = in_memory_format(grad_weight, format);
  }
  if (wanted[2]) grad_bias = at::sum(grad_output, IntArrayRef{0, 2, 3});
  return {grad_input, grad_weight, grad_bias};
}

Gradients own_gradients(const Tensor& grad_output, const Tensor& input, const Tensor& weight,
                        const kernels::Conv2dShape& shape, bool transposed,
                        const std::array<bool, 3>& wanted) {
  if (input.dim() == 4) return gradients_2d(grad_output, input, weight, shape, transposed, wanted);
  auto [grad_input, grad_weight, grad_bias] = gradients_2d(
      grad_output.unsqueeze(2), input.unsqueeze(2), weight.unsqueeze(2), shape, transposed, wanted);
  return {grad_input.defined() ? grad_input.squeeze(2) : grad_input,
          grad_weight.defined() ? grad_weight.squeeze(2) : grad_weight, grad_bias};
}

Gradients convolution_backward(const Tensor& grad_output, const Tensor& input, const Tensor& weight,
                               at::OptionalIntArrayRef bias_sizes, IntArrayRef stride,
                               IntArrayRef padding, IntArrayRef dilation, bool transposed,
                               IntArrayRef output_padding, std::int64_t groups,
                               std::array<bool, 3> wanted) {
  const ConvolutionCall call{stride, padding, dilation, transposed, output_padding, groups};
  const auto shape = conv2d_shape(input, weight, call);
  const bool fits = shape && is_half(grad_output) &&
                    grad_output.scalar_type() == input.scalar_type() &&
                    grad_output.dim() == input.dim();
  const auto choice = [&](ConvolutionPass pass) {
    return fits ? stock_convolution(input, weight, *shape, pass) : StockConvolution::yes;
  };
  const auto gradients = [&](StockConvolution stock, const std::array<bool, 3>& of) -> Gradients {
    if (stock == StockConvolution::in_fp32) {
      return convolution_backward_in_fp32(grad_output, input, weight, call, of);
    }
    const auto stock_kernel = [&]() -> Gradients {
      return at::compositeexplicitautograd::convolution_backward(
          grad_output, input, weight, bias_sizes, stride, padding, dilation, transposed,
          output_padding, groups, of);
    };
    if (stock == StockConvolution::yes) return stock_kernel();
    const auto own = [&] {
      return own_gradients(grad_output, input, weight, *shape, transposed, of);
    };
    return own_or_stock("conv2d_backward", own, stock_kernel);
  };
  const auto data = choice(ConvolutionPass::backward_data);
  const auto weights = choice(ConvolutionPass::backward_weights);
  if (data == weights || !wanted[0] || !wanted[1])
    return gradients(wanted[0] ? data : weights, wanted);
  const Gradients others = gradients(weights, {false, true, wanted[2]});
  return {std::get<0>(gradients(data, {true, false, false})), std::get<1>(others),
          std::get<2>(others)};
}

void install_convolution_backward(torch::Library& library) {
  library.impl("convolution_backward", convolution_backward);
}

const OverrideRegistration kConvolutionBackward{{"conv2d_backward", install_convolution_backward}};

}  // namespace
}  // namespace halftone::ops
