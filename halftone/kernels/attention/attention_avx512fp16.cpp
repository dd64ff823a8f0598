#include <algorithm>
#include <cmath>

#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/attention/attention.h"
#include "halftone/kernels/product/buffers.h"
#include "halftone/kernels/product/epilogue.h"
#include "halftone/kernels/product/plan.h"
#include "halftone/kernels/product/product.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx512_fp16 {
namespace {

#include "halftone/kernels/vector/vec_avx512.inl.h"

#include "halftone/kernels/product/write_row.inl.h"

#include "halftone/kernels/product/units_avx512.inl.h"

#include "halftone/kernels/product/units_fp16.inl.h"

#include "halftone/kernels/product/registers_fp16.inl.h"

#include "halftone/kernels/attention/passes.inl.h"

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY

using Unit = Fp16Unit<Fp16Registers>;

}  // namespace

const char* attention_refuses(const AttentionProblem& problem) {
  ProductArgs product;
  product.format = problem.format;
  const char* reason = product_refuses(product);
  return reason ? reason : wide_head_refuses(problem);
}

void attention(const AttentionArgs& args) { run_attention<Unit, HalfFormat::fp16>(args); }

void attention_backward(const AttentionBackwardArgs& args) {
  run_attention_backward<Unit, HalfFormat::fp16>(args);
}

}  // namespace halftone::kernels::avx512_fp16
#endif
