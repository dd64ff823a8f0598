#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/activation/activation.h"
#include "halftone/kernels/activation/table.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx2 {
namespace {

#include "halftone/kernels/vector/vec_avx2.inl.h"

#include "halftone/kernels/activation/activation_backward.inl.h"

}  // namespace

void activation_backward(const ActivationBackwardArgs& args) { multiply_slopes(args); }

}  // namespace halftone::kernels::avx2
#endif
