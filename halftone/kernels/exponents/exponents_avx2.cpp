#include <bit>
#include <cmath>
#include <limits>

#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/exponents/exponents.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx2 {
namespace {

#include "halftone/kernels/vector/vec_avx2.inl.h"

#include "halftone/kernels/exponents/exponents.inl.h"

}  // namespace

void count_exponents(const ExponentArgs& args) { count_all(args); }

}  // namespace halftone::kernels::avx2
#endif
