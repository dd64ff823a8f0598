// Group normalisation of half activations (Wu, He 2018, "Group normalization"), forward and
// backward: y = weight * (x - mean) * invstd + bias, with the mean and variance of an image's group
// of channels.
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/kernels/batch_norm/batch_norm.h"

namespace halftone::kernels {

// Bytes of scratch for a shape and a format of it: what batch_norm_workspace() needs for an image,
// times the batch, and 16 bytes a channel and image. Never 0.
HALFTONE_API std::int64_t group_norm_workspace(const BatchNormShape& shape);

// x, y: as batch_norm.h lays activations out; y may be x. groups divides the channels. weight,
// bias: [channels] in the format `parameters`, null: 1 and 0. mean, invstd: [batch][groups] in the
// format `statistics`, written. workspace: group_norm_workspace() bytes, aligned to 8.
//
// The passes over memory, their errors and their order of summation are batch normalisation's; NaN
// and infinity make their group of their image NaN and no other. One image of few channels may be
// cut among threads, several are handed out one by one (channels_last).
struct GroupNormForwardArgs {
  HalfFormat format;
  BatchNormShape shape;
  std::int64_t groups;
  const std::uint16_t* x;
  std::uint16_t* y;
  Element parameters;
  const void *weight, *bias;
  double eps;
  Element statistics;
  void *mean, *invstd;
  void* workspace;
};

HALFTONE_API void group_norm_forward(const GroupNormForwardArgs& args);

// With xhat = (x - mean) invstd and g = dy weight:
//   dbias = sum of dy,  dweight = sum of dy xhat, over images and pixels
//   dx = invstd (g - mean of g - xhat * mean of (g xhat)), means over the group
// dx, dweight, dbias: null where not wanted; dx may be dy or x.
struct GroupNormBackwardArgs {
  HalfFormat format;
  BatchNormShape shape;
  std::int64_t groups;
  const std::uint16_t *dy, *x;
  std::uint16_t* dx;
  Element parameters;
  const void* weight;
  void *dweight, *dbias;
  Element statistics;
  const void *mean, *invstd;
  void* workspace;
};

HALFTONE_API void group_norm_backward(const GroupNormBackwardArgs& args);

// Their ladders, for tests and `halftone doctor`.
HALFTONE_API const LadderBase& group_norm_forward_ladder();
HALFTONE_API const LadderBase& group_norm_backward_ladder();

}  // namespace halftone::kernels
