// Tensors to the kernels that round to formats of at most eight bits.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "halftone/kernels/quantize/quantize.h"

namespace halftone::ops {

// How a tensor is rounded. format: one that format_problem() has nothing to say of. key: of
// stochastic rounding's draws.
struct Quantizer {
  kernels::NumberFormat format;
  kernels::Rounding rounding = kernels::Rounding::nearest_even;
  kernels::Overflow overflow = kernels::Overflow::saturate;
  std::uint64_t key = 0;
};

// scales: one fp32, or one for each index along `dim` (kernels/quantize/quantize.h says how they
// act). x: fp32, fp16 or bf16, of any shape and strides, on the CPU. Throws Error for anything
// else, for scales of another number or format, and for a scale that is not a positive normal
// number whose inverse is one, too. Results are new tensors without a gradient.

// Like x, dense; its memory order is kept where x is dense and there is one scale.
at::Tensor quantize_dequantize(const at::Tensor& x, const Quantizer& quantizer,
                               const at::Tensor& scales, std::int64_t dim = 0);
at::Tensor quantize_dequantize(const at::Tensor& x, const Quantizer& quantizer, float scale);

// Blocks of 32 along `dim` with power-of-two scales of their own; in x's suggested memory format.
at::Tensor quantize_dequantize_blocks(const at::Tensor& x, const Quantizer& quantizer,
                                      std::int64_t dim);

// uint8 codes, contiguous; and fp32 from codes.
at::Tensor quantize(const at::Tensor& x, const Quantizer& quantizer, const at::Tensor& scales,
                    std::int64_t dim = 0);
at::Tensor dequantize(const at::Tensor& codes, const kernels::NumberFormat& format,
                      const at::Tensor& scales, std::int64_t dim = 0);

// max |x|, 0 of an empty tensor, not finite where an element is not.
double largest_magnitude(const at::Tensor& x);

}  // namespace halftone::ops
