// 2-D convolution and its two gradients, over the product kernel: the rows of its matrices are
// gathered from the image, nothing is unfolded into memory (Chellapilla et al., 2006, without the
// buffer). Depthwise ones are depthwise/'s.
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/base/half.h"
#include "halftone/kernels/product/packed.h"

namespace halftone::kernels {

// Two values, of rows (h) and columns (w).
struct Pair2d {
  std::int64_t h = 1, w = 1;
};

// channels and filters divide by groups. Sizes >= 0; stride, dilation, groups >= 1; padding any
// (negative crops).
struct Conv2dShape {
  std::int64_t batch = 0, channels = 0, filters = 0, groups = 1;
  Pair2d input, output, window, stride, padding{0, 0}, dilation;
};

// floor((input + 2 padding - dilation (window - 1) - 1) / stride) + 1, as LibTorch's conv2d.
HALFTONE_API Pair2d conv2d_output(const Conv2dShape& shape);

// Images lie as [batch][h][w][channels], weights as [filters][window h][window w][channels /
// groups]; dense, any alignment, no overlap between inputs and outputs.
struct Conv2dArgs {
  HalfFormat format = HalfFormat::bf16;
  Conv2dShape shape;
  const std::uint16_t* x = nullptr;
  const std::uint16_t* weight = nullptr;
  const std::uint16_t* bias = nullptr;  // [filters] or null; forward only
  // The weights packed before (pack_weights()), or null; forward only. The same bits as without.
  const PackedOperand* packed_weight = nullptr;
  const std::uint16_t* dy = nullptr;

  std::uint16_t* y = nullptr;
  std::uint16_t* dx = nullptr;
  void* dweight = nullptr;  // halves, or fp32 where dweight_fp32
  bool dweight_fp32 = false;
};

// y from x, weight, bias; dx from dy, weight; dweight from dy, x. Accumulation, error bound and
// order as of product(): k is window * channels / groups, window * filters / groups, and
// batch * output. Padding contributes nothing: infinity and NaN stay in the windows that hold them.
HALFTONE_API void conv2d_forward(const Conv2dArgs& args);
HALFTONE_API void conv2d_backward_data(const Conv2dArgs& args);
HALFTONE_API void conv2d_backward_weights(const Conv2dArgs& args);

// args.weight as conv2d_forward() takes it in packed_weight; only format, shape and weight count.
// Empty where that would read nothing of it: groups, depthwise.
HALFTONE_API PackedOperand pack_weights(const Conv2dArgs& args);

}  // namespace halftone::kernels
