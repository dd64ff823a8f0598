#include <algorithm>
#include <atomic>

#include "halftone/base/isa.h"
#include "halftone/base/parallel.h"
#include "halftone/kernels/product/buffers.h"
#include "halftone/kernels/product/epilogue.h"
#include "halftone/kernels/product/packed.h"
#include "halftone/kernels/product/plan.h"
#include "halftone/kernels/product/product.h"
#include "halftone/kernels/product/tiles_amx.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::amx {
namespace {

// The vector code around the tiles; the tiles themselves are asm.
#include "halftone/kernels/vector/vec_avx512.inl.h"

#include "halftone/kernels/product/write_row.inl.h"

#include "halftone/kernels/product/units_avx512.inl.h"

#include "halftone/kernels/product/units_amx.inl.h"

#include "halftone/kernels/product/engine.inl.h"

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY

using Split = SplitTileUnit<Bf16Tiles>;

}  // namespace

const char* product_refuses(const ProductArgs& args) {
  const bool split = args.format == HalfFormat::fp16 && !cpu_features().amx_fp16;
  // Where a split product meets infinity it starts again: D must still be there.
  if (split && args.d == args.c) return "the unit has no fp16 tiles, and D is C itself";
  return nullptr;
}

void product(const ProductArgs& args) {
  if (args.format == HalfFormat::bf16) {
    return run_product<TileUnit<Bf16Tiles, HalfFormat::bf16>>(args);
  }
  if (cpu_features().amx_fp16) {
    return run_product<TileUnit<Fp16Tiles, HalfFormat::fp16>>(args);
  }
  const std::uint64_t before = Split::non_finite_seen.load();
  run_product<Split>(args);
  if (Split::non_finite_seen.load() == before) return;
  if (args.pack_to) return args.pack_to->clear();  // only packing sees what isn't finite
  avx512::product(args);
}

}  // namespace halftone::kernels::amx
#endif
