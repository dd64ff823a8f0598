#include <algorithm>
#include <atomic>
#include <cmath>

#include "halftone/base/isa.h"
#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/attention/attention.h"
#include "halftone/kernels/product/buffers.h"
#include "halftone/kernels/product/epilogue.h"
#include "halftone/kernels/product/plan.h"
#include "halftone/kernels/product/product.h"
#include "halftone/kernels/product/tiles_amx.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::amx {
namespace {

#include "halftone/kernels/vector/vec_avx512.inl.h"

#include "halftone/kernels/product/write_row.inl.h"

#include "halftone/kernels/product/units_avx512.inl.h"

#include "halftone/kernels/product/units_amx.inl.h"

#include "halftone/kernels/attention/passes.inl.h"

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY

using Split = SplitTileUnit<Bf16Tiles>;

}  // namespace

const char* attention_refuses(const AttentionProblem& problem) {
  return wide_head_refuses(problem);
}

void attention(const AttentionArgs& args) {
  if (args.format == HalfFormat::bf16) {
    return run_attention<TileUnit<Bf16Tiles, HalfFormat::bf16>, HalfFormat::bf16>(args);
  }
  if (cpu_features().amx_fp16) {
    return run_attention<TileUnit<Fp16Tiles, HalfFormat::fp16>, HalfFormat::fp16>(args);
  }
  const std::uint64_t before = Split::non_finite_seen.load();
  run_attention<Split, HalfFormat::fp16>(args);
  if (Split::non_finite_seen.load() != before) avx512::attention(args);
}

void attention_backward(const AttentionBackwardArgs& args) {
  if (args.format == HalfFormat::bf16) {
    return run_attention_backward<TileUnit<Bf16Tiles, HalfFormat::bf16>, HalfFormat::bf16>(args);
  }
  if (cpu_features().amx_fp16) {
    return run_attention_backward<TileUnit<Fp16Tiles, HalfFormat::fp16>, HalfFormat::fp16>(args);
  }
  const std::uint64_t before = Split::non_finite_seen.load();
  run_attention_backward<Split, HalfFormat::fp16>(args);
  if (Split::non_finite_seen.load() != before) avx512::attention_backward(args);
}

}  // namespace halftone::kernels::amx
#endif
