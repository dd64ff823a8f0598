// Bilinear upsampling of half planes and its backward pass. (Nearest is a copy: LibTorch's is as
// fast.)
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/base/half.h"
#include "halftone/kernels/ladder.h"

namespace halftone::kernels {

// One axis, in, out >= 1. Input position of output o, in fp32 as LibTorch computes it
// (ATen/native/UpSample.h), with ratio = 1 / scale where scale > 0, else in / out: max(0, (o + 0.5)
// ratio - 0.5), or o (in - 1) / (out - 1) with align_corners. The two elements around it share by
// distance; positions beyond the last are the last.
struct UpsampleAxis {
  std::int64_t in, out;
  double scale;
};

// (N, C, H, W) in memory, or (N, H, W, C) with channels_last; dense.
struct UpsampleShape {
  HalfFormat format;
  bool channels_last;
  std::int64_t batch, channels;
  UpsampleAxis h, w;
  bool align_corners;
};

// Any alignment, no aliasing. Sums in fp32, n + 3 roundings of n terms (up to 4 forward; backward
// as many as outputs see the element), then half an ulp. NaN and infinity reach what sees them with
// a weight above 0. Results depend on shape and rung alone.
struct UpsampleArgs {
  UpsampleShape shape;
  const std::uint16_t* input;
  std::uint16_t* output;
};
struct UpsampleBackwardArgs {
  UpsampleShape shape;
  const std::uint16_t* grad_output;
  std::uint16_t* grad_input;
};

HALFTONE_API void upsample(const UpsampleArgs& args);
HALFTONE_API void upsample_backward(const UpsampleBackwardArgs& args);

HALFTONE_API const LadderBase& upsample_ladder();
HALFTONE_API const LadderBase& upsample_backward_ladder();

namespace ref {
void upsample(const UpsampleArgs& args);
void upsample_backward(const UpsampleBackwardArgs& args);
}  // namespace ref
namespace avx2 {
void upsample(const UpsampleArgs& args);
void upsample_backward(const UpsampleBackwardArgs& args);
}  // namespace avx2
namespace avx512 {
void upsample(const UpsampleArgs& args);
void upsample_backward(const UpsampleBackwardArgs& args);
}  // namespace avx512

}  // namespace halftone::kernels
