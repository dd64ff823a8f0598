// The packing and the loops of the rungs amx and avx512_fp16 over emulated registers, so that they
// run on machines without those units. The instructions themselves are not tested here.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "halftone/base/isa.h"
#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/product/buffers.h"
#include "halftone/kernels/product/epilogue.h"
#include "halftone/kernels/product/packed.h"
#include "halftone/kernels/product/plan.h"
#include "halftone/kernels/product/product.h"
#include "tests/kernels/half_matrix.h"
#include "tests/support/test.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::emulated {
namespace {

#include "halftone/kernels/vector/vec_avx512.inl.h"

#include "halftone/kernels/product/write_row.inl.h"

#include "halftone/kernels/product/units_avx512.inl.h"

#include "halftone/kernels/product/units_amx.inl.h"

#include "halftone/kernels/product/units_fp16.inl.h"

#include "halftone/kernels/product/engine.inl.h"
#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY

#include "tests/kernels/emulated_registers.inl.h"

struct EmulatedProblem {
  EmulatedProblem(HalfFormat format, std::int64_t m, std::int64_t n, std::int64_t k, int form)
      : a(normal_halves(format, m * k, 1)),
        b(normal_halves(format, k * n, 2)),
        c(static_cast<std::size_t>(m * n)) {
    args.format = format;
    args.m = m, args.n = n, args.k = k;
    args.a_transposed = form & 1, args.b_transposed = form & 2;
    args.a = matrix_rows(a.data(), args.a_transposed ? m : k);
    args.b = matrix_rows(b.data(), args.b_transposed ? k : n);
    args.c = c.data();
    args.c_stride = n;
    args.c_fp32 = true;
  }

  double error() {
    Halves unused;
    std::vector<float> exact(c.size());
    ProductArgs reference = args;
    reference.c = exact.data();
    ref::product(reference);
    return relative_rms(args.format, c, {exact.begin(), exact.end()});
  }

  Halves a, b;
  std::vector<float> c;
  ProductArgs args;
};

template <class Unit>
void expect_right(HalfFormat format, double tolerance) {
  if (!cpu_features().avx512) GTEST_SKIP() << "the packing needs AVX-512";
  const std::int64_t shapes[][3] = {{1, 1, 1},   {32, 32, 32},  {33, 35, 65},   {14, 64, 63},
                                    {50, 70, 7}, {17, 40, 600}, {70, 100, 1100}};
  for (const auto& s : shapes) {
    for (int form = 0; form < 4; ++form) {
      EmulatedProblem problem(format, s[0], s[1], s[2], form);
      run_product<Unit>(problem.args);
      EXPECT_LE(problem.error(), tolerance)
          << s[0] << "x" << s[1] << "x" << s[2] << " form " << form;
    }
  }
}

TEST(ProductEmulated, Bf16TilesMultiplyEveryShapeAndForm) {
  expect_right<TileUnit<EmulatedTiles<HalfFormat::bf16>, HalfFormat::bf16>>(
      HalfFormat::bf16, tolerance::kProductFp32);
}

TEST(ProductEmulated, Fp16TilesMultiplyEveryShapeAndForm) {
  expect_right<TileUnit<EmulatedTiles<HalfFormat::fp16>, HalfFormat::fp16>>(
      HalfFormat::fp16, tolerance::kProductFp32);
}

TEST(ProductEmulated, Fp16SplitIntoBf16TilesKeepsFp32sAccuracy) {
  expect_right<SplitTileUnit<EmulatedTiles<HalfFormat::bf16>>>(HalfFormat::fp16,
                                                               tolerance::kProductSplit);
}

TEST(ProductEmulated, TheSplitReportsInfinityAndNan) {
  if (!cpu_features().avx512) GTEST_SKIP() << "the packing needs AVX-512";
  using Unit = SplitTileUnit<EmulatedTiles<HalfFormat::bf16>>;
  EmulatedProblem problem(HalfFormat::fp16, 5, 6, 40, 2);
  const auto before = Unit::non_finite_seen.load();
  run_product<Unit>(problem.args);
  EXPECT_EQ(Unit::non_finite_seen.load(), before);
  problem.b[17] = 0x7c00;  // infinity
  run_product<Unit>(problem.args);
  EXPECT_GT(Unit::non_finite_seen.load(), before);
}

TEST(ProductEmulated, Fp16ArithmeticIsPromotedEvery64) {
  // Without promotion, 1100 terms in fp16 err by 4e-3 and more.
  expect_right<Fp16Unit<EmulatedFp16>>(HalfFormat::fp16, tolerance::kProductAvx512Fp16);
}

}  // namespace
}  // namespace halftone::kernels::emulated
#endif
