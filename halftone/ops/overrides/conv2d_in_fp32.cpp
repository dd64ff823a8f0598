#include "halftone/ops/overrides/conv2d_in_fp32.h"

#include <ATen/ops/convolution_backward_compositeexplicitautograd_dispatch.h>
#include <ATen/ops/convolution_compositeexplicitautograd_dispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/sum.h>

#include <algorithm>
#include <vector>

namespace halftone::ops {
namespace {

using at::Tensor;

// What the images of a piece take in fp32: what stays in L3 (25 MiB took up to 1.7 times fp32's
// time, 6 MiB 0.9 to 1). LibTorch's threads share each piece: oneDNN's weight gradients wait at
// barriers for as many threads as there are, so that calls from within a parallel region never
// return.
constexpr std::int64_t kPieceBytes = 8 << 20;

// The batch in pieces.
struct Pieces {
  std::int64_t batch, length;

  std::int64_t count() const { return (batch + length - 1) / length; }
};

// sum_bytes: of what each piece adds to the sum, which is not to outgrow the images.
Pieces pieces_of(const Tensor& input, const Tensor& output, std::int64_t sum_bytes) {
  const std::int64_t batch = input.size(0);
  const std::int64_t image_bytes =
      static_cast<std::int64_t>(sizeof(float)) * (input.numel() + output.numel()) / batch;
  return {batch,
          std::clamp<std::int64_t>(std::max(kPieceBytes, sum_bytes) / image_bytes, 1, batch)};
}

// run(piece, begin, length) for each.
template <class Run>
void for_each_piece(const Pieces& pieces, Run&& run) {
  for (std::int64_t i = 0; i < pieces.count(); ++i) {
    const std::int64_t begin = i * pieces.length;
    run(static_cast<std::size_t>(i), begin, std::min(pieces.length, pieces.batch - begin));
  }
}

Tensor piece_in_fp32(const Tensor& images, std::int64_t begin, std::int64_t length) {
  return images.narrow(0, begin, length).to(at::kFloat);
}

Tensor empty_images(at::IntArrayRef sizes, const Tensor& input, const Tensor& weight) {
  const auto format =
      input.dim() == 4 ? conv2d_memory_format(input, weight) : at::MemoryFormat::Contiguous;
  return at::empty(sizes, input.options().memory_format(format));
}

Tensor sum_over_pixels(const Tensor& images) {
  std::vector<std::int64_t> all_but_channels{0};
  for (std::int64_t i = 2; i < images.dim(); ++i) all_but_channels.push_back(i);
  return at::sum(images, all_but_channels);
}

}  // namespace

Tensor convolution_in_fp32(const Tensor& input, const Tensor& weight,
                           const std::optional<Tensor>& bias, const kernels::Conv2dShape& s,
                           const ConvolutionCall& call) {
  const Tensor filters = weight.to(at::kFloat);
  const auto wide_bias =
      bias && bias->defined() ? std::optional(bias->to(at::kFloat)) : std::nullopt;
  std::vector<std::int64_t> sizes{s.batch, call.transposed ? s.channels : s.filters};
  const kernels::Pair2d size = call.transposed ? s.input : s.output;
  if (input.dim() == 4) sizes.push_back(size.h);
  sizes.push_back(size.w);
  const Tensor output = empty_images(sizes, input, weight);
  for_each_piece(
      pieces_of(input, output, 0), [&](std::size_t, std::int64_t begin, std::int64_t length) {
        output.narrow(0, begin, length)
            .copy_(at::compositeexplicitautograd::convolution(
                piece_in_fp32(input, begin, length), filters, wide_bias, call.stride, call.padding,
                call.dilation, call.transposed, call.output_padding, call.groups));
      });
  return output;
}

std::tuple<Tensor, Tensor, Tensor> convolution_backward_in_fp32(const Tensor& grad_output,
                                                                const Tensor& input,
                                                                const Tensor& weight,
                                                                const ConvolutionCall& call,
                                                                const std::array<bool, 3>& wanted) {
  const Tensor filters = weight.to(at::kFloat);
  Tensor grad_input;
  if (wanted[0]) grad_input = empty_images(input.sizes(), input, weight);
  const Pieces pieces =
      pieces_of(input, grad_output, wanted[1] ? static_cast<std::int64_t>(filters.nbytes()) : 0);
  std::vector<Tensor> of_weights(static_cast<std::size_t>(pieces.count()));
  const auto run = [&](std::size_t piece, std::int64_t begin, std::int64_t length) {
    // The gradient of the input asks its shape alone.
    const Tensor image = wanted[1] ? piece_in_fp32(input, begin, length)
                                   : at::empty_like(input.narrow(0, begin, length), at::kFloat);
    const auto [of_input, of_weight, of_bias] = at::compositeexplicitautograd::convolution_backward(
        piece_in_fp32(grad_output, begin, length), image, filters, at::OptionalIntArrayRef(),
        call.stride, call.padding, call.dilation, call.transposed, call.output_padding, call.groups,
        {wanted[0], wanted[1], false});
    if (wanted[0]) grad_input.narrow(0, begin, length).copy_(of_input);
    of_weights[piece] = of_weight;
  };
  if (wanted[0] || wanted[1]) for_each_piece(pieces, run);
  Tensor grad_weight;
  if (wanted[1]) {
    for (std::size_t i = 1; i < of_weights.size(); ++i) of_weights[0].add_(of_weights[i]);
    grad_weight = of_weights[0].to(weight.scalar_type());
  }
  return {grad_input, grad_weight, wanted[2] ? sum_over_pixels(grad_output) : Tensor()};
}

}  // namespace halftone::ops
