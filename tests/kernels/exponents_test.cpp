#include "halftone/kernels/exponents/exponents.h"

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/support/rungs.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::kernels {
namespace {

constexpr Element kCountedFormats[] = {Element::fp32, Element::fp16, Element::bf16};

ExponentCounts counted_by_hand(Element format, const void* data, std::int64_t length) {
  ExponentCounts counts{};
  for (std::int64_t i = 0; i < length; ++i) {
    const float value = element_value(format, data, i);
    ++counts.by_exponent[(std::bit_cast<std::uint32_t>(value) >> 23) & 0xff];
    counts.zeros += value == 0;
    if (!std::isfinite(value)) continue;
    counts.amax = std::max(counts.amax, std::fabs(value));
    counts.square_sum += static_cast<double>(value) * value;
  }
  return counts;
}

void expect_same_counts(const ExponentCounts& found, const ExponentCounts& expected,
                        const std::string& where) {
  EXPECT_TRUE(found.by_exponent == expected.by_exponent) << where;
  EXPECT_EQ(found.zeros, expected.zeros) << where;
  EXPECT_EQ(found.amax, expected.amax) << where;
  EXPECT_NEAR(found.square_sum, expected.square_sum,
              4096 * tolerance::kFp32Unit * expected.square_sum)
      << where;
}

// Magnitudes over the whole of the format, zeros and numbers that are not finite among them.
TEST(Exponents, CountWhatALoopCountsOnEveryRungFormatAndLength) {
  for_each_rung(exponents_ladder(), [](Isa rung) {
    for (Element format : kCountedFormats) {
      for (std::int64_t length : {0, 1, 2, 7, 15, 16, 17, 100, 4095, 4096, 4097, 100000, 600001}) {
        std::mt19937 random(static_cast<unsigned>(length));
        std::normal_distribution<float> normal;
        std::uniform_real_distribution<float> exponent(-60, 60);
        std::vector<float> storage(static_cast<std::size_t>(length) + 1);
        void* data = element_address(format, storage.data(), 1);  // unaligned
        for (std::int64_t i = 0; i < length; ++i) {
          const float special[] = {0, -0.0f, std::numeric_limits<float>::infinity(),
                                   std::numeric_limits<float>::quiet_NaN()};
          const float value = normal(random) * std::exp2(exponent(random));
          set_element(format, data, i, i % 9 == 4 ? special[i / 9 % 4] : value);
        }
        ExponentCounts found{};
        count_exponents({format, data, length, &found});
        expect_same_counts(found, counted_by_hand(format, data, length),
                           std::string(isa_name(rung)) + " length " + std::to_string(length));
      }
    }
  });
}

TEST(Exponents, SquaresThatFp32DoesNotHoldAreSummedInDouble) {
  for_each_rung(exponents_ladder(), [](Isa) {
    for (const float value : {1e-30f, 1e30f, 1.0f}) {
      const std::vector<float> values(1000, value);
      ExponentCounts found{};
      count_exponents({Element::fp32, values.data(), 1000, &found});
      const double expected = 1000.0 * value * value;
      EXPECT_NEAR(found.square_sum, expected, 1e-4 * expected);
    }
  });
}

TEST(Exponents, EveryHalfIsCounted) {
  for_each_rung(exponents_ladder(), [](Isa rung) {
    for (Element format : {Element::fp16, Element::bf16}) {
      std::vector<std::uint16_t> all(65536);
      for (int i = 0; i < 65536; ++i) all[i] = static_cast<std::uint16_t>(i);
      ExponentCounts found{};
      count_exponents({format, all.data(), 65536, &found});
      expect_same_counts(found, counted_by_hand(format, all.data(), 65536), isa_name(rung));
      EXPECT_EQ(found.zeros, 2);
    }
  });
}

}  // namespace
}  // namespace halftone::kernels
