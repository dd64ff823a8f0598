#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/activation/activation.h"
#include "halftone/kernels/activation/table.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx512 {
namespace {

#include "halftone/kernels/vector/vec_avx512.inl.h"

#include "halftone/kernels/activation/activation_backward.inl.h"

}  // namespace

void activation_backward(const ActivationBackwardArgs& args) { multiply_slopes(args); }

}  // namespace halftone::kernels::avx512
#endif
