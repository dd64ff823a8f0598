#include <cmath>

#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/cross_entropy/cross_entropy.h"
#include "halftone/kernels/softmax/softmax.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx2 {
namespace {

#include "halftone/kernels/vector/vec_avx2.inl.h"

#include "halftone/kernels/vector/math.inl.h"

#include "halftone/kernels/softmax/row.inl.h"

#include "halftone/kernels/cross_entropy/cross_entropy.inl.h"

}  // namespace

void cross_entropy(const CrossEntropyArgs& args) { cross_entropy_rows(args); }
void cross_entropy_backward(const CrossEntropyBackwardArgs& args) {
  cross_entropy_backward_rows(args);
}

}  // namespace halftone::kernels::avx2
#endif
