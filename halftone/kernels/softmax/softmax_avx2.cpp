#include <cmath>

#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/softmax/softmax.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx2 {
namespace {

#include "halftone/kernels/vector/vec_avx2.inl.h"

#include "halftone/kernels/vector/math.inl.h"

#include "halftone/kernels/softmax/row.inl.h"

#include "halftone/kernels/softmax/softmax.inl.h"

}  // namespace

void softmax(const SoftmaxArgs& args) { softmax_rows(args); }
void softmax_backward(const SoftmaxBackwardArgs& args) { softmax_backward_rows(args); }

}  // namespace halftone::kernels::avx2
#endif
