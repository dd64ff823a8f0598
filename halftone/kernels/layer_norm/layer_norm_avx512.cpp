#include <cmath>

#include "halftone/base/target.h"
#include "halftone/kernels/layer_norm/blocks.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx512 {
namespace {

#include "halftone/kernels/vector/vec_avx512.inl.h"

// Behind the vectors' text.
#include "halftone/kernels/layer_norm/rows.inl.h"

}  // namespace

void layer_norm_forward(const LayerNormForwardArgs& args) { layer_norm_forward_by(kPasses, args); }
void layer_norm_backward(const LayerNormBackwardArgs& args) {
  layer_norm_backward_by(kPasses, args);
}

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY

}  // namespace halftone::kernels::avx512
#endif
