#include <algorithm>
#include <array>
#include <string>
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

namespace halftone::kernels::avx512 {
namespace {

#include "halftone/kernels/vector/vec_avx512.inl.h"

#include "halftone/kernels/product/write_row.inl.h"

#include "halftone/kernels/product/units_avx512.inl.h"

#include "halftone/kernels/product/units_fma_avx512.inl.h"

#include "halftone/kernels/product/engine.inl.h"

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
#undef HALFTONE_TARGET_PAIRS

}  // namespace

void product(const ProductArgs& args) {
  if (args.format == HalfFormat::fp16) return run_product<Fp32Unit<HalfFormat::fp16>>(args);
  run_product<Fp32Unit<HalfFormat::bf16>>(args);
}

const char* pair_product_refuses(const ProductArgs& args) {
  if (args.format != HalfFormat::bf16) return "VDPBF16PS takes bf16 only";
  if (!cpu_features().avx512_bf16) return "the CPU has no AVX512_BF16";
  // Intel's takes two cycles where a fp32 FMA takes half a one; AMD's is twice as fast as the FMA.
  static const bool amd = cpu_name().find("AMD") != std::string::npos;
  return amd ? nullptr : "VDPBF16PS is slower than fp32 FMA on this CPU";
}

void pair_product(const ProductArgs& args) { run_product<PairUnit>(args); }

}  // namespace halftone::kernels::avx512
#endif
