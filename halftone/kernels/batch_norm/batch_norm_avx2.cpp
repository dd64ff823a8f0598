#include "halftone/base/target.h"
#include "halftone/kernels/batch_norm/passes.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx2 {
namespace {

#include "halftone/kernels/vector/vec_avx2.inl.h"

// Behind the vectors' text.
#include "halftone/kernels/batch_norm/passes.inl.h"

}  // namespace

const BatchNormPasses& batch_norm_passes() { return kPasses; }

void batch_norm_forward(const BatchNormForwardArgs& args) { batch_norm_forward_by(kPasses, args); }
void batch_norm_backward(const BatchNormBackwardArgs& args) {
  batch_norm_backward_by(kPasses, args);
}

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY

}  // namespace halftone::kernels::avx2
#endif
