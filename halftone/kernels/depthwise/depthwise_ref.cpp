#include <cmath>

#include "halftone/base/half.h"
#include "halftone/kernels/depthwise/depthwise.h"
#include "halftone/kernels/depthwise/passes.h"

namespace halftone::kernels::ref {
namespace {

#include "halftone/kernels/vector/vec_ref.inl.h"

#include "halftone/kernels/depthwise/rows.inl.h"

}  // namespace

void depthwise_forward(const Conv2dArgs& args) { depthwise_forward_by(kDepthwisePasses, args); }

void depthwise_backward_data(const Conv2dArgs& args) {
  depthwise_backward_data_by(kDepthwisePasses, args);
}

void depthwise_backward_weights(const Conv2dArgs& args) {
  depthwise_backward_weights_by(kDepthwisePasses, args);
}

}  // namespace halftone::kernels::ref
