#include <algorithm>
#include <utility>

#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/product/buffers.h"
#include "halftone/kernels/product/epilogue.h"
#include "halftone/kernels/product/packed.h"
#include "halftone/kernels/product/plan.h"
#include "halftone/kernels/product/product.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx2 {
namespace {

#include "halftone/kernels/vector/vec_avx2.inl.h"

#include "halftone/kernels/product/write_row.inl.h"

#include "halftone/kernels/product/units_fma_avx2.inl.h"

#include "halftone/kernels/product/engine.inl.h"

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY

}  // namespace

void product(const ProductArgs& args) {
  if (args.format == HalfFormat::fp16) return run_product<Fp32Unit<HalfFormat::fp16>>(args);
  run_product<Fp32Unit<HalfFormat::bf16>>(args);
}

}  // namespace halftone::kernels::avx2
#endif
