#include <algorithm>

#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/product/buffers.h"
#include "halftone/kernels/product/epilogue.h"
#include "halftone/kernels/product/packed.h"
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

#include "halftone/kernels/product/engine.inl.h"

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY

}  // namespace

const char* product_refuses(const ProductArgs& args) {
  return args.format == HalfFormat::bf16 ? "the unit multiplies fp16 only" : nullptr;
}

void product(const ProductArgs& args) { run_product<Fp16Unit<Fp16Registers>>(args); }

}  // namespace halftone::kernels::avx512_fp16
#endif
