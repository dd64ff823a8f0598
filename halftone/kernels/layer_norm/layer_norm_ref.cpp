#include <cmath>

#include "halftone/kernels/layer_norm/blocks.h"

namespace halftone::kernels::ref {
namespace {

#include "halftone/kernels/vector/vec_ref.inl.h"

// Behind the vectors' text.
#include "halftone/kernels/layer_norm/rows.inl.h"

}  // namespace

void layer_norm_forward(const LayerNormForwardArgs& args) { layer_norm_forward_by(kPasses, args); }
void layer_norm_backward(const LayerNormBackwardArgs& args) {
  layer_norm_backward_by(kPasses, args);
}

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY

}  // namespace halftone::kernels::ref
