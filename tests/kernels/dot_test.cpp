#include "halftone/kernels/dot/dot.h"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/support/rungs.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::kernels {
namespace {

std::vector<std::uint16_t> random_half(HalfFormat format, std::int64_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<std::uint16_t> values(static_cast<std::size_t>(n));
  for (auto& each : values) each = float_to_half(format, normal(random));
  return values;
}

float run_dot(HalfFormat format, const std::uint16_t* a, const std::uint16_t* b, std::int64_t n) {
  float result = -1;
  dot({format, a, b, n, &result});
  return result;
}

TEST(Dot, MatchesFp64OnEveryRungFormatAndLength) {
  for_each_rung(dot_ladder(), [](Isa rung) {
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      for (std::int64_t n : {0, 1, 2, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 100, 1000}) {
        const auto a = random_half(format, n + 1, 1);
        const auto b = random_half(format, n + 1, 2);
        // + 1: no kernel may rely on alignment.
        double exact = 0, magnitude = 0;
        for (std::int64_t i = 1; i <= n; ++i) {
          const double product =
              static_cast<double>(half_to_float(format, a[i])) * half_to_float(format, b[i]);
          exact += product;
          magnitude += std::abs(product);
        }
        const double per_term = static_cast<double>(n + 1) * tolerance::kFp32Unit +
                                (rung == Isa::avx512_fp16 ? 2 * tolerance::kFp16Unit : 0);
        EXPECT_NEAR(run_dot(format, a.data() + 1, b.data() + 1, n), exact, per_term * magnitude)
            << isa_name(rung) << " length " << n;
      }
    }
  });
}

TEST(Dot, ReadsNothingBehindTheEnd) {
  for_each_rung(dot_ladder(), [](Isa rung) {
    auto a = random_half(HalfFormat::bf16, 40, 3);
    const auto b = a;
    for (std::size_t i = 33; i < a.size(); ++i) a[i] = 0x7fc0;  // NaN
    EXPECT_TRUE(std::isfinite(run_dot(HalfFormat::bf16, a.data(), b.data(), 33))) << isa_name(rung);
  });
}

TEST(Dot, NanAndInfinityPropagate) {
  for_each_rung(dot_ladder(), [](Isa rung) {
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      auto a = random_half(format, 70, 4);
      const auto b = random_half(format, 70, 5);
      a[69] = float_to_half(format, std::numeric_limits<float>::quiet_NaN());
      EXPECT_TRUE(std::isnan(run_dot(format, a.data(), b.data(), 70))) << isa_name(rung);
      a[69] = float_to_half(format, std::numeric_limits<float>::infinity());
      EXPECT_TRUE(std::isinf(run_dot(format, a.data(), b.data(), 70))) << isa_name(rung);
    }
  });
}

}  // namespace
}  // namespace halftone::kernels
