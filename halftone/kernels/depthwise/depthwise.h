// Depthwise convolution and its two gradients: every channel has filters of its own (groups ==
// channels; filters == channels times a multiplier). Bound by memory for large planes, so not a
// product: pixels are read where they lie, all channels of a few of them at a time.
#pragma once

#include "halftone/base/export.h"
#include "halftone/kernels/conv2d/conv2d.h"
#include "halftone/kernels/ladder.h"

namespace halftone::kernels {

// One channel alone is a product's case.
inline bool is_depthwise(const Conv2dShape& shape) {
  return shape.groups > 1 && shape.groups == shape.channels;
}

// As conv2d_forward() and so on, for shapes that are depthwise: layouts, alignment and aliasing are
// those of Conv2dArgs. Sums in fp32: in forward and backward-data of all window (times multiplier)
// terms in one chain, n * 2^-24 of the sum of magnitudes; in backward-weights of up to about 1024
// positions, then in fp64. Padding is zeros (times infinity NaN, in that channel); infinity and NaN
// of a pixel stay in the windows and the channel that hold it. A multiplier above 1 needs a copy of
// the output's (dy's) size. Results depend on shape and rung alone.
HALFTONE_API void depthwise_forward(const Conv2dArgs& args);
HALFTONE_API void depthwise_backward_data(const Conv2dArgs& args);
HALFTONE_API void depthwise_backward_weights(const Conv2dArgs& args);

HALFTONE_API const LadderBase& depthwise_forward_ladder();
HALFTONE_API const LadderBase& depthwise_backward_data_ladder();
HALFTONE_API const LadderBase& depthwise_backward_weights_ladder();

namespace ref {
void depthwise_forward(const Conv2dArgs& args);
void depthwise_backward_data(const Conv2dArgs& args);
void depthwise_backward_weights(const Conv2dArgs& args);
}  // namespace ref
namespace avx2 {
void depthwise_forward(const Conv2dArgs& args);
void depthwise_backward_data(const Conv2dArgs& args);
void depthwise_backward_weights(const Conv2dArgs& args);
}  // namespace avx2
namespace avx512 {
void depthwise_forward(const Conv2dArgs& args);
void depthwise_backward_data(const Conv2dArgs& args);
void depthwise_backward_weights(const Conv2dArgs& args);
}  // namespace avx512

}  // namespace halftone::kernels
