// Layer normalisation of half activations (Ba, Kiros, Hinton 2016, "Layer normalization"), forward
// and backward:  y = weight * (x - mean) * invstd + bias,  invstd = 1 / sqrt(var + eps),  row by
// row.
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/base/half.h"
#include "halftone/kernels/element.h"
#include "halftone/kernels/ladder.h"

namespace halftone::kernels {

// x, y: [rows][length], dense, any alignment; y may be x. weight, bias: [length] in the format
// `parameters`, null: 1 and 0. mean, invstd: [rows] in the format `statistics`, written; null: not
// wanted.
//
// Sums in fp32 of x - s and its square, an element through at most 64 + length / (64 * 4 lanes)
// additions; s is the mean of the row's first elements, and where (mean - s)^2 > 16 var the row is
// read again with s = mean. Errors as batch_norm.h derives them; the result takes two fused
// multiply-adds, 3 u (|weight invstd| (|x| + |mean|) + |bias|), u = 2^-24, and the rounding to
// half. NaN and infinity make their row NaN and no other.
struct LayerNormForwardArgs {
  HalfFormat format;
  std::int64_t rows, length;
  const std::uint16_t* x;
  std::uint16_t* y;
  Element parameters;
  const void *weight, *bias;
  double eps;
  Element statistics;
  void *mean, *invstd;
};

HALFTONE_API void layer_norm_forward(const LayerNormForwardArgs& args);

// Bytes of scratch that backward needs: 8 / (rows per block) of an activation tensor of fp32, 32
// rows and more a block, and 16 a column. Never 0.
HALFTONE_API std::int64_t layer_norm_workspace(std::int64_t rows, std::int64_t length);

// With xhat = (x - mean) invstd and g = dy weight:
//   dbias = sum over rows of dy,  dweight = sum over rows of dy xhat
//   dx = invstd (g - mean of g - xhat * mean of (g xhat))
// Rows' sums in fp32 as above; columns' in fp32 over a block of at most 512 rows and in fp64
// between blocks, in an order that the shape fixes. dx, dweight, dbias: null where not wanted; dx
// may be dy or x. workspace: layer_norm_workspace() bytes, aligned to 8.
struct LayerNormBackwardArgs {
  HalfFormat format;
  std::int64_t rows, length;
  const std::uint16_t *dy, *x;
  std::uint16_t* dx;
  Element parameters;
  const void* weight;
  void *dweight, *dbias;
  Element statistics;
  const void *mean, *invstd;
  void* workspace;
};

HALFTONE_API void layer_norm_backward(const LayerNormBackwardArgs& args);

// Their ladders, for tests and `halftone doctor`.
HALFTONE_API const LadderBase& layer_norm_forward_ladder();
HALFTONE_API const LadderBase& layer_norm_backward_ladder();

namespace ref {
void layer_norm_forward(const LayerNormForwardArgs& args);
void layer_norm_backward(const LayerNormBackwardArgs& args);
}  // namespace ref
namespace avx2 {
void layer_norm_forward(const LayerNormForwardArgs& args);
void layer_norm_backward(const LayerNormBackwardArgs& args);
}  // namespace avx2
namespace avx512 {
void layer_norm_forward(const LayerNormForwardArgs& args);
void layer_norm_backward(const LayerNormBackwardArgs& args);
}  // namespace avx512

}  // namespace halftone::kernels
