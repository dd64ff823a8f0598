#include <limits>
#include <mutex>

#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/range/range.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx512 {
namespace {

#include "halftone/kernels/vector/vec_avx512.inl.h"

#include "halftone/kernels/range/range.inl.h"

}  // namespace

void range(const RangeArgs& args) { find_range(args); }

}  // namespace halftone::kernels::avx512
#endif
