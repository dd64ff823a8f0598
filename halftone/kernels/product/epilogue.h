// What happens to a sum of products on its way to C, element by element: for the reference rung and
// the tails of the others.
#pragma once

#include <algorithm>

#include "halftone/kernels/product/product.h"

namespace halftone::kernels {

inline std::int64_t c_offset(const ProductArgs& args, std::int64_t row) {
  return args.c_row ? args.c_row(args.c_context, row) : row * args.c_stride;
}

inline void write_element(const ProductArgs& args, std::int64_t i, std::int64_t j, float sum) {
  float value = args.alpha * sum;
  if (args.d) {
    value += args.beta * half_to_float(args.format, args.d[i * args.d_stride + j]);
  }
  // As ReLU does: NaN stays.
  if (args.activation == ProductEpilogue::relu && value < 0) value = 0;
  const std::int64_t at = c_offset(args, i) + j;
  if (args.c_fp32) {
    static_cast<float*>(args.c)[at] = value;
  } else {
    static_cast<std::uint16_t*>(args.c)[at] = float_to_half(args.format, value);
  }
}

}  // namespace halftone::kernels
