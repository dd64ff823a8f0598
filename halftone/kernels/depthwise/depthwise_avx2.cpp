#include "halftone/base/half.h"
#include "halftone/base/target.h"
#include "halftone/kernels/depthwise/depthwise.h"
#include "halftone/kernels/depthwise/passes.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx2 {
namespace {

#include "halftone/kernels/vector/vec_avx2.inl.h"

#include "halftone/kernels/depthwise/rows.inl.h"

}  // namespace

void depthwise_forward(const Conv2dArgs& args) { depthwise_forward_by(kDepthwisePasses, args); }

void depthwise_backward_data(const Conv2dArgs& args) {
  depthwise_backward_data_by(kDepthwisePasses, args);
}

void depthwise_backward_weights(const Conv2dArgs& args) {
  depthwise_backward_weights_by(kDepthwisePasses, args);
}

}  // namespace halftone::kernels::avx2
#endif
