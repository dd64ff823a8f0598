#include <algorithm>
#include <array>
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

namespace halftone::kernels::avx512 {
namespace {

#include "halftone/kernels/vector/vec_avx512.inl.h"

#include "halftone/kernels/product/write_row.inl.h"

#include "halftone/kernels/product/units_avx512.inl.h"

#include "halftone/kernels/product/units_fma_avx512.inl.h"

#include "halftone/kernels/attention/passes.inl.h"

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
#undef HALFTONE_TARGET_PAIRS

}  // namespace

const char* attention_refuses(const AttentionProblem& problem) {
  return wide_head_refuses(problem);
}

void attention(const AttentionArgs& args) { run_attention_of<Fp32Unit>(args); }

void attention_backward(const AttentionBackwardArgs& args) {
  run_attention_backward_of<Fp32Unit>(args);
}

const char* pair_attention_refuses(const AttentionProblem& problem) {
  ProductArgs product;
  product.format = problem.format;
  const char* reason = pair_product_refuses(product);
  return reason ? reason : wide_head_refuses(problem);
}

void pair_attention(const AttentionArgs& args) { run_attention<PairUnit, HalfFormat::bf16>(args); }

void pair_attention_backward(const AttentionBackwardArgs& args) {
  run_attention_backward<PairUnit, HalfFormat::bf16>(args);
}

}  // namespace halftone::kernels::avx512
#endif
