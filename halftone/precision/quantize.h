// Number formats of at most eight bits, which no CPU computes in, by name; tensors rounded to them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "halftone/base/export.h"

namespace halftone {

// "e4m3fn", "e4m3", "e5m2", "e3m4", …: the minifloats of PyPI's ml_dtypes, named as there without
// "float8_" (fn: no infinity, fnuz: no negative zero either), to which each rounds bit for bit; and
// "int8" to "int2": whole numbers from -(2^(n-1) - 1), which a scale makes fixed point.
HALFTONE_API const std::vector<std::string>& number_format_names();
HALFTONE_API bool is_number_format(const std::string& name);

// The largest finite number of a format. Throws UsageError that lists the names, the nearest first,
// for a name that it does not know; so do all functions here.
HALFTONE_API double largest_number(const std::string& format);

// How a tensor is rounded.
struct Quantization {
  std::string format;
  // Numbers beyond the largest become the largest; else infinity where the format has it, else NaN,
  // else the largest nevertheless.
  bool saturate = true;
  // Up in magnitude with a probability that equals the fraction dropped, by draws from `seed` and
  // the element's index in memory: the same for any number of threads. Else to nearest, ties to
  // even.
  bool stochastic = false;
  std::uint64_t seed = 0;
};

// What the format makes of x: round(x * (1 / scale)) * scale, in x's own format. scales: fp32, one
// or as many as x has indices along `dim`. x: fp32, fp16 or bf16 on the CPU, any shape and strides;
// not differentiable. Throws Error for other tensors and for scales that don't fit.
HALFTONE_API at::Tensor quantize_dequantize(const at::Tensor& x, const Quantization& quantization,
                                            const at::Tensor& scales, std::int64_t dim = 0);

// The same with a power-of-two scale of its own for every 32 elements along `dim`: MXFP8, MXFP6,
// MXFP4 with the formats e4m3fn, e5m2, e3m2fn, e2m3fn, e2m1fn (OCP Microscaling Formats v1.0, 6.3).
// A block with an element that is not finite is NaN.
HALFTONE_API at::Tensor quantize_dequantize_blocks(const at::Tensor& x,
                                                   const Quantization& quantization,
                                                   std::int64_t dim = -1);

// round(x * (1 / scale)) as codes (uint8, contiguous; the code in the lowest bits), and back to
// fp32.
HALFTONE_API at::Tensor quantize(const at::Tensor& x, const Quantization& quantization,
                                 const at::Tensor& scales, std::int64_t dim = 0);
HALFTONE_API at::Tensor dequantize(const at::Tensor& codes, const std::string& format,
                                   const at::Tensor& scales, std::int64_t dim = 0);

}  // namespace halftone
