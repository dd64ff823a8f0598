// Batch normalisation of half activations (Ioffe, Szegedy 2015, "Batch normalization", algorithms 1
// and 2), training and inference, with an optional residual addition and ReLU behind it:
//   y = relu(weight * (x - mean) * invstd + bias + residual),  invstd = 1 / sqrt(var + eps)
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/base/half.h"
#include "halftone/kernels/element.h"
#include "halftone/kernels/ladder.h"

namespace halftone::kernels {

// Activations: `batch` x `channels` x `plane` elements, dense.
//   channels_last  [batch][plane][channels], also a matrix [batch][channels] (plane 1)
//   otherwise      [batch][channels][plane]
struct BatchNormShape {
  bool channels_last;
  std::int64_t batch, channels, plane;
};

// Bytes of scratch that forward and backward need for a shape: channels_last at most 7 % of an
// activation tensor and 100 KB, else 8 bytes a plane and 48 a channel. Never 0.
HALFTONE_API std::int64_t batch_norm_workspace(const BatchNormShape& shape);

// Where mean and invstd come from.
enum class BatchNormStatistics : std::uint8_t {
  computed,  // of x; written to mean and invstd, running_* moved by `momentum` where not null
  running,   // running_mean, running_var
  given,     // mean, invstd
};

// Any alignment of the activations. `parameters`: the format of weight, bias (null: 1, 0) and
// running_*; `statistics`: the format of mean and invstd (null: not wanted, where computed).
// y may be x or residual. workspace: batch_norm_workspace() bytes, aligned to 8.
//
// Statistics: sums in fp32 of x - s and its square, an element through at most 132 additions
// (channels_last; else 64 + 16384 / (64 * 4 lanes)), blocks added in fp64 in an order that the
// shape fixes; s is near the mean: where (mean - s)^2 > 16 var the pass is repeated with the mean.
// So |mean' - mean| <= 132 u (|mean - s| + sqrt(var)) and |var' - var| <= 17 * 134 u var, u = 2^-24
// (Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance", 2.1; a tenth of that
// is seen). The result:
// one fused multiply-add in fp32, 2 u (|weight invstd| (|x| + |mean|) + |bias|), plus the addition
// and the rounding to half. running_var moves to the unbiased variance, NaN where there is one
// element, as LibTorch's does. A channel that holds NaN or infinity is NaN, its neighbours are not.
struct BatchNormForwardArgs {
  HalfFormat format;
  BatchNormShape shape;
  const std::uint16_t* x;
  const std::uint16_t* residual;  // null: none
  bool relu;
  std::uint16_t* y;
  Element parameters;
  const void *weight, *bias;
  void *running_mean, *running_var;
  BatchNormStatistics source;
  double momentum, eps;
  Element statistics;
  void *mean, *invstd;
  void* workspace;
};

HALFTONE_API void batch_norm_forward(const BatchNormForwardArgs& args);

// How the gradient of ReLU is had.
enum class BatchNormMask : std::uint8_t {
  none,    // no ReLU
  output,  // from y: 0 where y <= 0
  input,   // from x, exactly as y would say: no residual; statistics in fp32, or constant
};

// g = dy where the mask lets it through, else 0;  dresidual = g
// dbias = sum g,  dweight = invstd sum g (x - mean), fp32 per block and fp64 between blocks
// dx = weight invstd (g - dbias / n - (x - mean) invstd dweight / n),  n = batch * plane
// and without the two last terms where `constant_statistics` (evaluation): mean and invstd are then
// the running ones.
//
// dx, dresidual, dweight, dbias: null where not wanted. dx may be dy, x or y; dresidual none of
// them. dweight and dbias in the format `parameters`, as weight and bias (which only
// BatchNormMask::input reads).
struct BatchNormBackwardArgs {
  HalfFormat format;
  BatchNormShape shape;
  const std::uint16_t *dy, *x, *y;
  BatchNormMask mask;
  std::uint16_t *dx, *dresidual;
  Element parameters;
  const void *weight, *bias;
  void *dweight, *dbias;
  bool constant_statistics;
  Element statistics;
  const void *mean, *invstd;  // null where `constant_statistics`: from the two below
  const void *running_mean, *running_var;
  double eps;
  void* workspace;
};

HALFTONE_API void batch_norm_backward(const BatchNormBackwardArgs& args);

// Their ladders, for tests and `halftone doctor`.
HALFTONE_API const LadderBase& batch_norm_forward_ladder();
HALFTONE_API const LadderBase& batch_norm_backward_ladder();

namespace ref {
void batch_norm_forward(const BatchNormForwardArgs& args);
void batch_norm_backward(const BatchNormBackwardArgs& args);
}  // namespace ref
namespace avx2 {
void batch_norm_forward(const BatchNormForwardArgs& args);
void batch_norm_backward(const BatchNormBackwardArgs& args);
}  // namespace avx2
namespace avx512 {
void batch_norm_forward(const BatchNormForwardArgs& args);
void batch_norm_backward(const BatchNormBackwardArgs& args);
}  // namespace avx512

}  // namespace halftone::kernels
