#include <algorithm>
#include <cmath>
#include <utility>

#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/attention/attention.h"
#include "halftone/kernels/product/buffers.h"
#include "halftone/kernels/product/epilogue.h"
#include "halftone/kernels/product/plan.h"
#include "halftone/kernels/product/product.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx2 {
namespace {

#include "halftone/kernels/vector/vec_avx2.inl.h"

#include "halftone/kernels/product/write_row.inl.h"

#include "halftone/kernels/product/units_fma_avx2.inl.h"

#include "halftone/kernels/attention/passes.inl.h"

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY

}  // namespace

const char* attention_refuses(const AttentionProblem& problem) {
  return wide_head_refuses(problem);
}

void attention(const AttentionArgs& args) { run_attention_of<Fp32Unit>(args); }

void attention_backward(const AttentionBackwardArgs& args) {
  run_attention_backward_of<Fp32Unit>(args);
}

}  // namespace halftone::kernels::avx2
#endif
