#include "halftone/kernels/bernoulli/bernoulli.h"

#include <cmath>
#include <vector>

#include "halftone/kernels/optimizer/rounding.h"
#include "tests/support/rungs.h"
#include "tests/support/test.h"

namespace halftone::kernels {
namespace {

TEST(Bernoulli, IsTheDrawsComparisonOnEveryRungFormatAndLength) {
  for_each_rung(bernoulli_ladder(), [](Isa rung) {
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      for (std::uint32_t zeros : {0u, 1u, 429496730u, 0x80000000u, 0xffffffffu}) {
        for (std::int64_t n : {0, 1, 7, 8, 16, 17, 100}) {
          std::vector<std::uint16_t> bits(static_cast<std::size_t>(n + 2), 0x1234);
          const std::uint64_t key = draw_key(1, 2, 3);
          bernoulli({format, n, key, zeros, bits.data() + 1});
          EXPECT_EQ(bits.front(), 0x1234) << isa_name(rung);
          EXPECT_EQ(bits.back(), 0x1234) << isa_name(rung);
          for (std::int64_t i = 0; i < n; ++i) {
            const bool zero = draw(key, static_cast<std::uint32_t>(i)) < zeros;
            ASSERT_EQ(half_to_float(format, bits[i + 1]), zero ? 0 : 1) << isa_name(rung);
          }
        }
      }
    }
  });
}

// The number of zeros of n draws deviates by sqrt(n p (1 - p)); five of these. Neighbours agree as
// often as independent ones do.
TEST(Bernoulli, ZerosAreAsManyAndAsIndependentAsTheyShouldBe) {
  constexpr std::int64_t kDraws = 1 << 18;
  for (double p : {0.1, 0.5, 0.9}) {
    std::vector<std::uint16_t> bits(kDraws);
    bernoulli({HalfFormat::bf16, kDraws, draw_key(7, 8, 9), static_cast<std::uint32_t>(p * 0x1p32),
               bits.data()});
    std::int64_t zeros = 0, pairs = 0;
    for (std::int64_t i = 0; i < kDraws; ++i) {
      zeros += bits[i] == 0;
      pairs += bits[i] == 0 && bits[(i + 1) % kDraws] == 0;
    }
    const double n = kDraws, deviation = std::sqrt(n * p * (1 - p));
    EXPECT_NEAR(static_cast<double>(zeros), n * p, 5 * deviation);
    EXPECT_NEAR(static_cast<double>(pairs), n * p * p, 5 * 2 * deviation * p);
  }
}

}  // namespace
}  // namespace halftone::kernels
