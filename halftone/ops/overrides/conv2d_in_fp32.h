// Convolutions of halves by LibTorch's fp32 kernel, for the shapes that it is best at.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <optional>
#include <tuple>

#include "halftone/ops/overrides/conv2d.h"

namespace halftone::ops {

// As LibTorch's convolution, its sums in fp32 and one rounding. The copies in fp32 are made for a
// few images at a time, as many as the shape says, so that they stay in the cache and take some
// MiB.
at::Tensor convolution_in_fp32(const at::Tensor& input, const at::Tensor& weight,
                               const std::optional<at::Tensor>& bias,
                               const kernels::Conv2dShape& shape, const ConvolutionCall& call);

// Likewise; the gradient of the weights is the sum of the pieces' in fp32.
std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_backward_in_fp32(
    const at::Tensor& grad_output, const at::Tensor& input, const at::Tensor& weight,
    const ConvolutionCall& call, const std::array<bool, 3>& wanted);

}  // namespace halftone::ops
