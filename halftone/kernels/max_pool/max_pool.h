// Two-dimensional max pooling of half tensors and its backward pass.
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/base/half.h"
#include "halftone/kernels/ladder.h"

namespace halftone::kernels {

// What both passes take at most, in either direction. Row buffers on the stack follow from it.
constexpr std::int64_t kMaxPoolKernel = 64;
constexpr std::int64_t kMaxPoolStride = 16;

// The backward pass of contiguous planes takes in_w up to this.
constexpr std::int64_t kMaxPoolWidth = 4096;

// Output (oh, ow) sees input rows oh * stride_h - pad_h + i, 0 <= i < kernel_h, and columns
// likewise; what lies outside of the input is not seen. Every window sees at least one element.
// in_h * in_w < 2^31.
struct PoolShape {
  HalfFormat format;
  bool channels_last;  // (N, H, W, C) in memory, else (N, C, H, W); dense
  std::int64_t batch, channels, in_h, in_w, out_h, out_w;
  std::int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
};

// output, indices: as the input, of out_h * out_w planes. An index is h * in_w + w of the input
// element taken. Any alignment; outputs alias nothing.
//
// Exact: every rung gives LibTorch's bits. The first of equal elements wins (-0 equals 0), a NaN
// wins over every number, the last NaN over the others; where all are -infinity the index is that
// of the first element seen.
struct MaxPoolArgs {
  PoolShape shape;
  const std::uint16_t* input;
  std::uint16_t* output;
  std::int64_t* indices;
};

// grad_input: every element is the fp32 sum, rounded once, of the gradients of the windows that
// took it, in ascending order of (oh, ow); 0 where none did. Every rung gives the same bits for any
// thread count. An index outside of its window is ignored or, inside of the plane, may be taken.
// Error: (kernel_h * kernel_w - 1) * 2^-24 * sum |g| + half an ulp of the result.
struct MaxPoolBackwardArgs {
  PoolShape shape;
  const std::uint16_t* grad_output;
  const std::int64_t* indices;
  std::uint16_t* grad_input;
};

HALFTONE_API void max_pool(const MaxPoolArgs& args);
HALFTONE_API void max_pool_backward(const MaxPoolBackwardArgs& args);

HALFTONE_API const LadderBase& max_pool_ladder();
HALFTONE_API const LadderBase& max_pool_backward_ladder();

namespace ref {
void max_pool(const MaxPoolArgs& args);
void max_pool_backward(const MaxPoolBackwardArgs& args);
}  // namespace ref
namespace avx2 {
void max_pool(const MaxPoolArgs& args);
void max_pool_backward(const MaxPoolBackwardArgs& args);
}  // namespace avx2
namespace avx512 {
void max_pool(const MaxPoolArgs& args);
void max_pool_backward(const MaxPoolBackwardArgs& args);
}  // namespace avx512

}  // namespace halftone::kernels
