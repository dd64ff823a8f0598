// Means over the windows of half planes (average, adaptive average and global pooling) and their
// backward pass.
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/base/half.h"
#include "halftone/kernels/ladder.h"

namespace halftone::kernels {

struct AverageRange {
  std::int64_t begin, end;
};

// One axis. Output o is the mean over inputs [window(o).begin, window(o).end).
//   adaptive:  floor(o in / out) to ceil((o + 1) in / out); kernel, stride and pad are not read
//   else:      [o stride - pad, o stride - pad + kernel), of which what lies in [0, in) is summed.
//              It counts as what lies in [-pad, in + pad) with count_pad, else as what is summed.
// No window is empty.
struct AverageAxis {
  std::int64_t in, out;
  bool adaptive;
  std::int64_t kernel, stride, pad;
  bool count_pad;

  AverageRange window(std::int64_t o) const {
    if (adaptive) return {o * in / out, ((o + 1) * in + out - 1) / out};
    const std::int64_t first = o * stride - pad, last = first + kernel;
    return {first < 0 ? 0 : first, last < in ? last : in};
  }
  std::int64_t count(std::int64_t o) const {
    const AverageRange range = window(o);
    if (adaptive || !count_pad) return range.end - range.begin;
    const std::int64_t first = o * stride - pad, last = first + kernel;
    return (last < in + pad ? last : in + pad) - first;
  }
  // The outputs whose window has input i.
  AverageRange outputs_at(std::int64_t i) const {
    if (adaptive) return {i * out / in, ((i + 1) * out + in - 1) / in};
    const std::int64_t last = i + pad, first = last - kernel + 1, end = last / stride + 1;
    return {first <= 0 ? 0 : (first + stride - 1) / stride, end < out ? end : out};
  }
};

// Row buffers on the stack: planes that are not channels_last take widths up to this, and kernels
// up to kAverageKernel.
constexpr std::int64_t kAverageWidth = 4096;
constexpr std::int64_t kAverageKernel = 64;

// divisor: of every sum, or 0 for the product of both axes' counts.
struct AverageShape {
  HalfFormat format;
  bool channels_last;  // (N, H, W, C) in memory, else (N, C, H, W); dense
  std::int64_t batch, channels;
  AverageAxis h, w;
  std::int64_t divisor;
};

// Any alignment, no aliasing. Sums in fp32, of whole planes in blocks of 4096, times the rounded
// reciprocal: relative to the mean of magnitudes (n + 3) * 2^-24 for n terms (n <= 4096), then half
// an ulp. NaN and infinity reach the windows that see them. Results depend on shape and rung alone.
struct AveragePoolArgs {
  AverageShape shape;
  const std::uint16_t* input;
  std::uint16_t* output;
};

// grad_input: the sum over the windows that see the element of gradient / divisor; 0 where none do.
struct AveragePoolBackwardArgs {
  AverageShape shape;
  const std::uint16_t* grad_output;
  std::uint16_t* grad_input;
};

HALFTONE_API void average_pool(const AveragePoolArgs& args);
HALFTONE_API void average_pool_backward(const AveragePoolBackwardArgs& args);

HALFTONE_API const LadderBase& average_pool_ladder();
HALFTONE_API const LadderBase& average_pool_backward_ladder();

namespace ref {
void average_pool(const AveragePoolArgs& args);
void average_pool_backward(const AveragePoolBackwardArgs& args);
}  // namespace ref
namespace avx2 {
void average_pool(const AveragePoolArgs& args);
void average_pool_backward(const AveragePoolBackwardArgs& args);
}  // namespace avx2
namespace avx512 {
void average_pool(const AveragePoolArgs& args);
void average_pool_backward(const AveragePoolBackwardArgs& args);
}  // namespace avx512

}  // namespace halftone::kernels
