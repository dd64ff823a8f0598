#include "halftone/kernels/optimizer/optimizer.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "halftone/kernels/optimizer/blocks.h"
#include "halftone/kernels/optimizer/rounding.h"
#include "tests/support/rungs.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::kernels {
namespace {

constexpr Element kElements[] = {Element::fp32, Element::fp16, Element::bf16};
const std::int64_t kLengths[] = {0, 1, 7, 8, 15, 16, 17, 63, 64, 100, kOptimizerBlock + 5};

// Numbers in any of the formats, one element before the first that is used: nothing may rely on
// alignment.
class Array {
 public:
  Array(Element format, std::int64_t length, unsigned seed, float spread = 1)
      : format_(format), bytes_(static_cast<std::size_t>(size() * (length + 2))) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, spread);
    for (std::int64_t i = -1; i <= length; ++i) set(i, normal(random));
  }

  void* data() { return bytes_.data() + size(); }
  const void* data() const { return bytes_.data() + size(); }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(bytes_.data() + size());
  }

  float at(std::int64_t i) const { return element_value(format_, data(), i); }
  void set(std::int64_t i, float value) {
    if (format_ == Element::fp32) {
      std::memcpy(bytes_.data() + size() * (i + 1), &value, 4);
    } else {
      const std::uint16_t bits = float_to_half(half_format(format_), value);
      std::memcpy(bytes_.data() + size() * (i + 1), &bits, 2);
    }
  }
  bool operator==(const Array& other) const { return bytes_ == other.bytes_; }

 private:
  std::int64_t size() const { return format_ == Element::fp32 ? 4 : 2; }

  Element format_;
  std::vector<char> bytes_;
};

double checked_sum(const Array& gradient, Element format, std::int64_t length) {
  const GradientSpan span{format, gradient.data(), length};
  const std::int64_t first_block[] = {0, optimizer_blocks(length)};
  std::vector<double> sums(static_cast<std::size_t>(first_block[1]));
  gradient_check({&span, first_block, 1, sums.data()});
  double total = 0;
  for (double each : sums) total += each;
  return total;
}

TEST(GradientCheck, SumsSquaresOnEveryRungFormatAndLength) {
  for_each_rung(gradient_check_ladder(), [](Isa rung) {
    for (Element format : kElements) {
      for (std::int64_t length : kLengths) {
        const Array gradient(format, length, 1);
        double exact = 0;
        for (std::int64_t i = 0; i < length; ++i) {
          exact += static_cast<double>(gradient.at(i)) * gradient.at(i);
        }
        EXPECT_NEAR(checked_sum(gradient, format, length), exact, tolerance::kFp32 * exact)
            << isa_name(rung) << " length " << length;
      }
    }
  });
}

TEST(GradientCheck, FindsANonFiniteElementAtAnyPlace) {
  for_each_rung(gradient_check_ladder(), [](Isa rung) {
    for (Element format : kElements) {
      for (std::int64_t place : {0, 5, 64, 99, 100}) {
        for (float bad :
             {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
              std::numeric_limits<float>::quiet_NaN()}) {
          Array gradient(format, 101, 2);
          gradient.set(place, bad);
          EXPECT_TRUE(std::isnan(checked_sum(gradient, format, 101)))
              << isa_name(rung) << " at " << place;
          // Behind the end it is not seen.
          EXPECT_EQ(std::isnan(checked_sum(gradient, format, place)), false) << isa_name(rung);
        }
      }
    }
  });
}

TEST(GradientCheck, KeepsItsPrecisionWhereSquaresLeaveFp32) {
  for_each_rung(gradient_check_ladder(), [](Isa rung) {
    for (float size : {1e-30f, 1e30f, 3e38f}) {
      Array gradient(Element::fp32, 50, 3, 0);
      for (std::int64_t i = 0; i < 50; ++i) gradient.set(i, size);
      const double exact = 50.0 * static_cast<double>(size) * size;
      EXPECT_NEAR(checked_sum(gradient, Element::fp32, 50), exact, 1e-12 * exact) << isa_name(rung);
    }
    EXPECT_EQ(checked_sum(Array(Element::bf16, 50, 3, 0), Element::bf16, 50), 0) << isa_name(rung);
  });
}

// Everything that one update touches.
struct Case {
  UpdateRule rule;
  WeightKind kind;
  Element weight_format, gradient_format;
  std::int64_t length;
  bool amsgrad = false;

  Array weight{weight_format, length, 10};
  Array gradient{gradient_format, length, 11};
  Array master{Element::fp32, length, 12};
  Array compensation{weight_format, length, 13, 0.01f};
  Array m{Element::fp32, length, 14, 0.1f}, v{Element::fp32, length, 15, 0.1f};
  Array largest{Element::fp32, length, 16, 0.1f};

  std::vector<double> run(const UpdateNumbers& numbers, std::uint64_t key) {
    for (std::int64_t i = 0; i < length; ++i) v.set(i, std::abs(v.at(i)));
    ParameterSpan span{};
    span.rule = rule;
    span.kind = kind;
    span.weight_format = weight_format;
    span.gradient_format = gradient_format;
    span.length = length;
    span.gradient = gradient.data();
    span.weight = weight.data();
    span.master = master.as<float>();
    span.compensation = compensation.as<std::uint16_t>();
    span.state = {m.as<float>(), v.as<float>(), amsgrad ? largest.as<float>() : nullptr};
    span.key = key;
    span.numbers = numbers;
    const std::int64_t first_block[] = {0, optimizer_blocks(length)};
    std::vector<double> sums(2 * static_cast<std::size_t>(first_block[1]));
    optimizer_update({&span, first_block, 1, sums.data()});
    return sums;
  }

  bool operator==(const Case& o) const {
    return weight == o.weight && gradient == o.gradient && master == o.master &&
           compensation == o.compensation && m == o.m && v == o.v && largest == o.largest;
  }
};

UpdateNumbers some_numbers() {
  UpdateNumbers n;
  n.gradient_scale = 0.37f;
  n.clip_value = 0.5f;
  n.l2 = 0.01f;
  n.keep = 0.999f;
  n.step_size = 0.013f;
  n.momentum = 0.9f;
  n.undampened = 0.8f;
  n.one_minus_beta1 = 0.1f;
  n.beta2 = 0.99f;
  n.one_minus_beta2 = 0.01f;
  n.eps = 1e-6f;
  n.root_correction = 3.1f;
  n.correction = 1.7f;
  n.decay = 0.02f;
  return n;
}

std::vector<Case> all_cases(std::int64_t length) {
  std::vector<Case> cases;
  for (UpdateRule rule :
       {UpdateRule::sgd, UpdateRule::adam, UpdateRule::lamb_direction, UpdateRule::lamb_apply}) {
    for (Element gradient : kElements) {
      cases.push_back({rule, WeightKind::plain, Element::fp32, gradient, length});
      for (WeightKind kind : {WeightKind::master, WeightKind::stochastic, WeightKind::kahan}) {
        for (Element weight : {Element::fp16, Element::bf16}) {
          cases.push_back({rule, kind, weight, gradient, length});
          cases.push_back({rule, kind, weight, gradient, length, true});
        }
      }
    }
  }
  return cases;
}

// Also shows that nothing before the first and behind the last element is written.
TEST(OptimizerUpdate, EveryRungGivesTheReferencesBits) {
  const Isa before = isa();
  for_each_rung(optimizer_update_ladder(), [](Isa rung) {
    for (std::int64_t length : kLengths) {
      for (const Case& start : all_cases(length)) {
        for (int variant : {0, 1, 2}) {
          UpdateNumbers numbers = some_numbers();
          numbers.nesterov = variant == 1;
          numbers.first = variant == 2;
          Case expected = start, actual = start;
          set_isa(Isa::ref);
          const auto reference_sums = expected.run(numbers, 77);
          set_isa(rung);
          const auto sums = actual.run(numbers, 77);
          ASSERT_TRUE(actual == expected)
              << isa_name(rung) << " rule " << static_cast<int>(start.rule) << " kind "
              << static_cast<int>(start.kind) << " length " << length;
          for (std::size_t i = 0; i < sums.size(); ++i) {
            ASSERT_NEAR(sums[i], reference_sums[i], 1e-12 * reference_sums[i]) << isa_name(rung);
          }
        }
      }
    }
  });
  set_isa(before);
}

TEST(OptimizerUpdate, AFiniteGradientThatIsNotANumberPoisonsOnlyItsElement) {
  for_each_rung(optimizer_update_ladder(), [](Isa rung) {
    Case one{UpdateRule::sgd, WeightKind::plain, Element::fp32, Element::fp16, 40};
    one.gradient.set(17, std::numeric_limits<float>::quiet_NaN());
    one.run(some_numbers(), 0);
    for (std::int64_t i = 0; i < 40; ++i) {
      EXPECT_EQ(std::isnan(one.weight.at(i)), i == 17) << isa_name(rung);
    }
  });
}

// 1e6 draws per value: the mean of n roundings with spread ulp deviates by ulp * sqrt(p(1-p)/n), at
// most ulp / 2000; four of these.
TEST(StochasticRounding, IsRightInExpectationOverAMillionDraws) {
  constexpr int kDraws = 1'000'000;
  for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
    for (float value : {1.0f + 0x1p-9f, 1.2345678f, -0.0123456f, 3.1e-5f, -4.7e-6f, 2.0e-8f}) {
      double sum = 0, lowest = 1e9, highest = -1e9;
      for (int i = 0; i < kDraws; ++i) {
        const std::uint32_t random = draw(draw_key(1, 2, 3), static_cast<std::uint32_t>(i));
        const double rounded = half_to_float(format, stochastic_half(format, value, random));
        sum += rounded;
        lowest = std::min(lowest, rounded);
        highest = std::max(highest, rounded);
      }
      EXPECT_LE(lowest, value);
      EXPECT_GE(highest, value);
      const double ulp = highest - lowest;
      EXPECT_LT(ulp, std::max(std::abs(value) * (format == HalfFormat::fp16 ? 0x1p-9 : 0x1p-6),
                              format == HalfFormat::fp16 ? 0x1.1p-24 : 0));
      EXPECT_NEAR(sum / kDraws, value, 4 * ulp / 2000) << value;
    }
  }
}

TEST(StochasticRounding, ProbabilityIsExactlyTheFractionDropped) {
  // All 2^16 (bf16) and 2^13 (fp16) values of the bits that count.
  const float value = std::bit_cast<float>(0x3f801234u);  // 1 + 0x1234 * 2^-23
  std::int64_t up = 0;
  for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
    up += stochastic_bf16(value, bits << 16) == 0x3f81;
  }
  EXPECT_EQ(up, 0x1234);
  up = 0;
  for (std::uint32_t bits = 0; bits < 0x2000u; ++bits) {
    up += stochastic_fp16(value, bits << 19) == 0x3c01;
  }
  EXPECT_EQ(up, 0x1234);
  up = 0;  // fp16's subnormals: 5.25 * 2^-24
  for (std::uint32_t bits = 0; bits < 0x200000u; ++bits) {
    up += stochastic_fp16(5.25f * 0x1p-24f, bits << 11) == 6;
  }
  EXPECT_EQ(up, 0x200000 / 4);
}

TEST(StochasticRounding, LeavesWhatIsExactAndWhatIsNotFinite) {
  for (std::uint32_t random : {0u, 0x12345678u, 0xffffffffu}) {
    EXPECT_EQ(stochastic_bf16(1.5f, random), float_to_bf16(1.5f));
    EXPECT_EQ(stochastic_fp16(-1.5f, random), float_to_fp16(-1.5f));
    EXPECT_EQ(stochastic_fp16(0x1p-24f, random), 1);
    EXPECT_EQ(stochastic_fp16(-0.0f, random), 0x8000);
    EXPECT_EQ(stochastic_bf16(-std::numeric_limits<float>::infinity(), random), 0xff80);
    EXPECT_EQ(stochastic_fp16(std::numeric_limits<float>::infinity(), random), 0x7c00);
    EXPECT_EQ(stochastic_bf16(std::numeric_limits<float>::quiet_NaN(), random), 0x7fc0);
    EXPECT_TRUE(std::isnan(
        fp16_to_float(stochastic_fp16(std::numeric_limits<float>::quiet_NaN(), random))));
  }
}

TEST(StochasticRounding, DrawsDependOnSeedParameterStepAndElement) {
  const std::uint32_t base = draw(draw_key(1, 2, 3), 4);
  EXPECT_EQ(draw(draw_key(1, 2, 3), 4), base);
  EXPECT_NE(draw(draw_key(9, 2, 3), 4), base);
  EXPECT_NE(draw(draw_key(1, 9, 3), 4), base);
  EXPECT_NE(draw(draw_key(1, 2, 9), 4), base);
  EXPECT_NE(draw(draw_key(1, 2, 3), 9), base);
  EXPECT_NE(range_key(draw_key(1, 2, 3), std::int64_t{1} << 32), range_key(draw_key(1, 2, 3), 0));
}

// Neighbouring elements, steps and parameters: each of the 32 bits is 1 half of the time, and
// equals the neighbour's half of the time, within five deviations of 2^16 draws.
TEST(StochasticRounding, NeighbouringDrawsLookIndependent) {
  constexpr int kDraws = 1 << 16;
  const double five = 5 * 0.5 / std::sqrt(static_cast<double>(kDraws));
  for (int bit = 0; bit < 32; ++bit) {
    int ones = 0, element = 0, step = 0, parameter = 0;
    for (std::uint32_t i = 0; i < kDraws; ++i) {
      const std::uint32_t own = draw(draw_key(5, 1, 1), i);
      ones += (own >> bit) & 1u;
      element += ((own ^ draw(draw_key(5, 1, 1), i + 1)) >> bit) & 1u;
      step += ((own ^ draw(draw_key(5, 1, 2), i)) >> bit) & 1u;
      parameter += ((own ^ draw(draw_key(5, 2, 1), i)) >> bit) & 1u;
    }
    for (int count : {ones, element, step, parameter}) {
      EXPECT_NEAR(static_cast<double>(count) / kDraws, 0.5, five) << "bit " << bit;
    }
  }
}

// Against 32-bit arithmetic: many updates of a hundredth of an ulp, which rounding to nearest would
// lose one by one.
TEST(KahanStorage, FollowsFp32WherePlainRoundingStandsStill) {
  for (Element format : {Element::fp16, Element::bf16}) {
    const float ulp = format == Element::fp16 ? 0x1p-10f : 0x1p-7f;
    Case kahan{UpdateRule::sgd, WeightKind::kahan, format, Element::fp32, 32};
    UpdateNumbers numbers;
    numbers.step_size = 1;
    float wide[32];
    for (std::int64_t i = 0; i < 32; ++i) {
      kahan.weight.set(i, 1 + 0.01f * static_cast<float>(i));
      kahan.compensation.set(i, 0);
      kahan.gradient.set(i, -0.01f * ulp);
      wide[i] = kahan.weight.at(i);
    }
    for (int step = 0; step < 1000; ++step) kahan.run(numbers, 0);
    for (std::int64_t i = 0; i < 32; ++i) {
      for (int step = 0; step < 1000; ++step) wide[i] += 0.01f * ulp;
      const double sum = static_cast<double>(kahan.weight.at(i)) +
                         static_cast<double>(kahan.compensation.at(i)) / kahan_scale(format);
      // Both terms hold 16 (bf16) or 22 (fp16) bits; each step may lose half of the last.
      const double lost = 1000 * (format == Element::fp16 ? 0x1p-22 : 0x1p-16);
      EXPECT_NEAR(sum, wide[i], std::min(lost, 0.5 * ulp)) << i;
      EXPECT_GT(sum, 1 + 0.01 * static_cast<double>(i) + 9 * ulp);
    }
  }
}

// Step by step the two terms are exactly what rounding the fp32 sum twice gives.
TEST(KahanStorage, IsExactAgainst32BitArithmetic) {
  for_each_rung(optimizer_update_ladder(), [](Isa rung) {
    for (Element format : {Element::fp16, Element::bf16}) {
      const HalfFormat half = half_format(format);
      Case kahan{UpdateRule::sgd, WeightKind::kahan, format, Element::fp32, 100};
      Case before = kahan;
      UpdateNumbers numbers;
      numbers.step_size = 0.001f;
      kahan.run(numbers, 0);
      for (std::int64_t i = 0; i < 100; ++i) {
        const float sum = before.weight.at(i) + before.compensation.at(i) / kahan_scale(format);
        const float moved = sum - 0.001f * before.gradient.at(i);
        const float rounded = half_to_float(half, float_to_half(half, moved));
        EXPECT_EQ(kahan.weight.at(i), rounded) << isa_name(rung);
        EXPECT_EQ(kahan.compensation.at(i),
                  half_to_float(half, float_to_half(half, (moved - rounded) * kahan_scale(format))))
            << isa_name(rung);
      }
    }
  });
}

}  // namespace
}  // namespace halftone::kernels
