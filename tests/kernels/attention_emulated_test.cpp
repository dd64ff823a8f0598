// Attention over the units of the rungs amx and avx512_fp16 with emulated registers, as
// product_emulated_test.cpp does for the product.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "halftone/base/isa.h"
#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/product/buffers.h"
#include "halftone/kernels/product/epilogue.h"
#include "halftone/kernels/product/plan.h"
#include "halftone/kernels/product/product.h"
#include "tests/kernels/attention_problem.h"
#include "tests/support/test.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::emulated_attention {
namespace {

#include "halftone/kernels/vector/vec_avx512.inl.h"

#include "halftone/kernels/product/write_row.inl.h"

#include "halftone/kernels/product/units_avx512.inl.h"

#include "halftone/kernels/product/units_amx.inl.h"

#include "halftone/kernels/product/units_fp16.inl.h"

#include "halftone/kernels/attention/passes.inl.h"
#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY

#include "tests/kernels/emulated_registers.inl.h"

// Tails of tiles, several blocks of rows and keys, dK in parts, masks.
const AttentionCase kEmulatedCases[] = {
    {{1, 1, 1, 1, 1, 1}},
    {{2, 2, 1, 33, 35, 20}},
    {{1, 1, 1, 70, 300, 33}},
    {{1, 1, 1, 150, 150, 8}, true},
    {{1, 2, 2, 21, 35, 16}, true, AttentionMaskKind::half, true},
    {{1, 2, 2, 21, 35, 16}, false, AttentionMaskKind::boolean, false, false}};

template <class Unit, HalfFormat format>
void expect_attends(double product, double factor = tolerance::kAttention) {
  if (!cpu_features().avx512) GTEST_SKIP() << "the packing needs AVX-512";
  for (const AttentionCase& c : kEmulatedCases) {
    SCOPED_TRACE(c.text());
    AttentionTestProblem p(format, c);
    const ExactAttention exact = p.exact();
    run_attention<Unit, format>(p.forward_args());
    run_attention_backward<Unit, format>(p.backward_args());
    const double few = c.shape.keys * c.shape.width < 16 ? 2 : 1;
    EXPECT_LE(p.output.error(format, exact.output), few * factor * product);
    const double gradient = few * tolerance::kAttentionGradient * product;
    EXPECT_LE(p.grad_query.error(format, exact.grad_query), gradient);
    EXPECT_LE(p.grad_key.error(format, exact.grad_key), gradient);
    EXPECT_LE(p.grad_value.error(format, exact.grad_value), gradient);
    EXPECT_TRUE(p.gaps_untouched());
  }
}

TEST(AttentionEmulated, Bf16Tiles) {
  expect_attends<TileUnit<EmulatedTiles<HalfFormat::bf16>, HalfFormat::bf16>, HalfFormat::bf16>(
      tolerance::kProductBf16);
}

TEST(AttentionEmulated, Fp16Tiles) {
  expect_attends<TileUnit<EmulatedTiles<HalfFormat::fp16>, HalfFormat::fp16>, HalfFormat::fp16>(
      tolerance::kProductFp16);
}

TEST(AttentionEmulated, Fp16SplitIntoBf16Tiles) {
  expect_attends<SplitTileUnit<EmulatedTiles<HalfFormat::bf16>>, HalfFormat::fp16>(
      tolerance::kProductFp16);
}

TEST(AttentionEmulated, Fp16Arithmetic) {
  expect_attends<Fp16Unit<EmulatedFp16>, HalfFormat::fp16>(tolerance::kProductAvx512Fp16,
                                                           tolerance::kAttentionAvx512Fp16);
}

}  // namespace
}  // namespace halftone::kernels::emulated_attention
#endif
