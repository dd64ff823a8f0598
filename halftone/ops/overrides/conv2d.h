// A call of aten::convolution as the convolution kernels take it.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "halftone/kernels/conv2d/conv2d.h"

namespace halftone::ops {

// The arguments that forward and backward share.
struct ConvolutionCall {
  at::IntArrayRef stride, padding, dilation;
  bool transposed;
  at::IntArrayRef output_padding;
  std::int64_t groups;
};

// The shape of a call on half tensors of two (or one) spatial dimensions that the kernels take, or
// nothing: then the call, with its error where there is one, is LibTorch's. A transposed
// convolution is the backward pass of the convolution whose input is its output.
std::optional<kernels::Conv2dShape> conv2d_shape(const at::Tensor& input, const at::Tensor& weight,
                                                 const ConvolutionCall& call);

enum class ConvolutionPass { forward, backward_data, backward_weights };

// LibTorch's own kernel for such a call is better than ours.
enum class StockConvolution {
  no,
  yes,      // bf16 where oneDNN multiplies it by VDPBF16PS (bench/training_steps.py)
  in_fp32,  // few channels or filters in a group (conv2d_in_fp32.h)
};
StockConvolution stock_convolution(const at::Tensor& input, const at::Tensor& weight,
                                   const kernels::Conv2dShape& shape, ConvolutionPass pass);

// Whether a convolution without groups with these half weights [filters, channels, h, w] runs on
// the product.
bool reads_packed_weights(const at::Tensor& weight);

// LibTorch's rule: channels_last where the input or the weight is (mkldnn_conv_use_channels_last).
at::MemoryFormat conv2d_memory_format(const at::Tensor& input, const at::Tensor& weight);

// [batch, channels, h, w] as the kernels read it, [batch, h, w, channels]; copies where needed.
at::Tensor channels_last(const at::Tensor& tensor);

// Four dimensions of halves in that order of memory; copies where needed.
at::Tensor in_memory_format(const at::Tensor& tensor, at::MemoryFormat format);

// An uninitialised one.
at::Tensor empty_channels_last(at::IntArrayRef sizes, const at::Tensor& like);

}  // namespace halftone::ops
