#include "halftone/kernels/quantize/quantize.h"

#include <ATen/Parallel.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "halftone/kernels/optimizer/rounding.h"
#include "tests/support/rungs.h"
#include "tests/support/test.h"

namespace halftone::kernels {
namespace {

constexpr float kUnit = 1;
constexpr NumberFormat kSomeFormats[] = {kE4M3Fn, kE5M2,          kE4M3Fnuz,
                                         kE2M1Fn, fixed_point(8), fixed_point(3)};

std::vector<float> normal_numbers(std::int64_t count, float spread, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> x(static_cast<std::size_t>(count));
  for (float& value : x) value = normal(random);
  return x;
}

QuantizeArgs fp32_args(const NumberFormat& format, const std::vector<float>& x, void* output) {
  return {format,
          Rounding::nearest_even,
          Overflow::saturate,
          Element::fp32,
          static_cast<std::int64_t>(x.size()),
          &kUnit,
          1,
          1,
          draw_key(1, 2, 3),
          x.data(),
          output};
}

// In fp64, by the format's definition: the two numbers of the format around x, by search.
struct Neighbours {
  double below, above;
};
Neighbours neighbours(const NumberFormat& format, double x) {
  const int bits = 1 + format.exponent_bits + format.mantissa_bits;
  Neighbours found{-INFINITY, INFINITY};
  for (int code = 0; code < 1 << bits; ++code) {
    const double value = decoded_value(format, static_cast<std::uint8_t>(code));
    if (format.is_fixed_point() && value < -largest_value(format)) continue;
    if (value <= x) found.below = std::max(found.below, value);
    if (value >= x) found.above = std::min(found.above, value);
  }
  return found;
}

TEST(Quantize, RoundsToTheNearerNeighbourAndSaturates) {
  // A format of neither OCP nor IEEE among them.
  for (NumberFormat format :
       {kE4M3Fn, kE5M2, kE3M4, kE2M1Fn, fixed_point(5), NumberFormat{6, 1, 40, Specials::fn},
        NumberFormat{5, 0, 10, Specials::none}}) {
    ASSERT_EQ(format_problem(format), "");
    const float largest = largest_value(format);
    std::vector<float> x = normal_numbers(500, largest / 4);
    for (float value : normal_numbers(500, largest / 64, 2)) x.push_back(value);
    std::vector<float> y(x.size());
    for_each_rung(quantize_dequantize_ladder(), [&](Isa rung) {
      quantize_dequantize(fp32_args(format, x, y.data()));
      for (std::size_t i = 0; i < x.size(); ++i) {
        const auto [below, above] = neighbours(format, x[i]);
        const double expected = x[i] - below < above - x[i] ? below : above;
        const bool tie = x[i] - below == above - x[i];
        EXPECT_TRUE(y[i] == expected || (tie && y[i] == below)) << isa_name(rung) << " " << x[i];
      }
    });
  }
}

// Of what lies between two numbers around zero, and of NaN, in fp32 and in bf16.
TEST(Quantize, ZerosAndNaNHaveASignWhereTheFormatHasOne) {
  constexpr std::size_t kLength = 67;  // pairs of vectors, a vector and a part
  constexpr std::uint32_t kNan = 0x7fc00000u, kSign = 0x80000000u;
  std::vector<float> x(kLength, -1e-6f), y(kLength);
  std::vector<std::uint16_t> half(kLength), rounded(kLength);
  for (std::size_t i = 0; i < kLength; i += 3) x[i] = std::bit_cast<float>(kNan | kSign);
  for (std::size_t i = 0; i < kLength; ++i) half[i] = std::bit_cast<std::uint32_t>(x[i]) >> 16;
  for (const NumberFormat& format : kSomeFormats) {
    const bool fixed = format.is_fixed_point(), fnuz = format.specials == Specials::fnuz;
    const bool no_nan = format.specials == Specials::none;
    const std::uint32_t zero = fixed || fnuz ? 0 : kSign;
    const std::uint32_t nan = no_nan ? 0 : kNan | kSign;
    QuantizeArgs args = fp32_args(format, x, y.data());
    QuantizeArgs in_bf16 = fp32_args(format, x, rounded.data());
    in_bf16.element = Element::bf16;
    in_bf16.input = half.data();
    for_each_rung(quantize_dequantize_ladder(), [&](Isa rung) {
      quantize_dequantize(args);
      quantize_dequantize(in_bf16);
      for (std::size_t i = 0; i < kLength; ++i) {
        const std::uint32_t expected = i % 3 ? zero : nan;
        ASSERT_EQ(std::bit_cast<std::uint32_t>(y[i]), expected) << isa_name(rung) << " " << i;
        // A NaN in bf16 is positive (base/half.h).
        ASSERT_EQ(rounded[i], i % 3 == 0 && !no_nan ? kNan >> 16 : expected >> 16)
            << isa_name(rung) << " " << i;
      }
    });
  }
}

TEST(Quantize, TouchesNothingBeyondItsElementsAndWorksInPlace) {
  for (NumberFormat format : kSomeFormats) {
    for (std::int64_t n : {0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 100}) {
      const std::vector<float> x = normal_numbers(n, 3);
      std::vector<float> expected(x.size());
      std::vector<std::uint8_t> expected_codes(x.size());
      set_isa(Isa::ref);
      quantize_dequantize(fp32_args(format, x, expected.data()));
      quantize(fp32_args(format, x, expected_codes.data()));
      for_each_rung(quantize_dequantize_ladder(), [&](Isa rung) {
        std::vector<float> guarded(x.size() + 2, 7);
        std::copy(x.begin(), x.end(), guarded.begin() + 1);
        QuantizeArgs args = fp32_args(format, x, guarded.data() + 1);
        args.input = args.output;
        quantize_dequantize(args);
        EXPECT_EQ(guarded.front(), 7) << isa_name(rung);
        EXPECT_EQ(guarded.back(), 7) << isa_name(rung);
        EXPECT_TRUE(std::equal(expected.begin(), expected.end(), guarded.begin() + 1));
        std::vector<std::uint8_t> codes(x.size() + 2, 77);
        quantize(fp32_args(format, x, codes.data() + 1));
        EXPECT_EQ(codes.front(), 77) << isa_name(rung);
        EXPECT_EQ(codes.back(), 77) << isa_name(rung);
        EXPECT_TRUE(std::equal(expected_codes.begin(), expected_codes.end(), codes.begin() + 1));
      });
    }
  }
}

// (A, C, B) with a scale for each of C, B 1 or more, and what one scale makes of each element.
TEST(Quantize, EachChannelHasItsScale) {
  constexpr std::int64_t kOuter = 3, kChannels = 21;
  for (std::int64_t inner : {1, 2, 19, 64}) {
    const std::vector<float> x = normal_numbers(kOuter * kChannels * inner, 2);
    std::vector<float> scales(kChannels);
    for (std::size_t c = 0; c < scales.size(); ++c) scales[c] = 0.01f + 0.003f * c;
    for_each_rung(quantize_dequantize_ladder(), [&](Isa rung) {
      for (bool stochastic : {false, true}) {
        std::vector<float> y(x.size()), back(x.size());
        std::vector<std::uint8_t> codes(x.size());
        QuantizeArgs args = fp32_args(fixed_point(8), x, y.data());
        args.rounding = stochastic ? Rounding::stochastic : Rounding::nearest_even;
        args.scales = scales.data();
        args.scale_count = kChannels;
        args.scale_inner = inner;
        quantize_dequantize(args);
        args.output = codes.data();
        quantize(args);
        dequantize(
            {args.format, args.length, args.scales, kChannels, inner, codes.data(), back.data()});
        for (std::size_t i = 0; i < x.size(); ++i) {
          const float scale = scales[i / inner % kChannels];
          const double bound = std::abs(x[i]) / scale > 127 ? INFINITY : stochastic ? 1.001 : 0.501;
          EXPECT_LE(std::abs(y[i] - x[i]) / scale, bound) << isa_name(rung) << " " << i;
          EXPECT_LE(std::abs(y[i]) / scale, 127.001) << isa_name(rung);
          ASSERT_EQ(y[i], back[i]) << isa_name(rung) << " " << i;
        }
      }
    });
  }
}

template <class Args, class Operation>
void expect_same_bits(const LadderBase& ladder, Args args, Operation operation,
                      std::size_t output_bytes) {
  const int before = at::get_num_threads();
  std::vector<char> expected(output_bytes), found(output_bytes);
  set_isa(Isa::ref);
  at::set_num_threads(1);
  args.output = expected.data();
  operation(args);
  for_each_rung(ladder, [&](Isa rung) {
    for (int threads : {1, 2, 3}) {
      at::set_num_threads(threads);
      args.output = found.data();
      operation(args);
      EXPECT_EQ(std::memcmp(found.data(), expected.data(), output_bytes), 0)
          << ladder.operation() << " " << isa_name(rung) << " " << threads << " threads";
    }
  });
  at::set_num_threads(before);
}

// Bit patterns of all kinds, in every format of the input.
TEST(Quantize, AllRungsAndThreadCountsGiveTheSameBits) {
  constexpr std::int64_t kLength = 150'001;  // several tasks for each of three threads
  std::vector<std::uint32_t> bits(kLength);
  std::mt19937 random(3);
  for (std::size_t i = 0; i < bits.size(); ++i) {
    bits[i] = i % 2 ? random() : std::bit_cast<std::uint32_t>(static_cast<float>(random() % 999));
  }
  for (NumberFormat format : kSomeFormats) {
    for (Element element : {Element::fp32, Element::fp16, Element::bf16}) {
      for (Rounding rounding : {Rounding::nearest_even, Rounding::stochastic}) {
        float scale = 0;
        QuantizeArgs args{format, rounding, Overflow::special, element,     kLength, &scale,
                          1,      1,        draw_key(4, 5, 6), bits.data(), nullptr};
        for (Overflow overflow : {Overflow::special, Overflow::saturate}) {
          args.overflow = overflow;
          scale = overflow == Overflow::special ? 0.37f : 1 + 0x3p-8f;  // ties in bf16
          expect_same_bits(quantize_dequantize_ladder(), args, quantize_dequantize,
                           kLength * element_size(element));
          expect_same_bits(quantize_ladder(), args, quantize, kLength);
        }
        if (format.is_fixed_point()) continue;
        const BlockQuantizeArgs blocks{format,      rounding, element, 150, 1000, draw_key(7, 8, 9),
                                       bits.data(), nullptr,  nullptr};
        expect_same_bits(quantize_dequantize_blocks_ladder(), blocks, quantize_dequantize_blocks,
                         150'000 * element_size(element));
      }
    }
  }
}

// The mean of n stochastic roundings of x between neighbours a step apart deviates by
// step sqrt(p (1 - p) / n); five of these. Subnormal and normal numbers of the format.
TEST(Quantize, StochasticRoundingIsUnbiasedAndDrawsByElement) {
  constexpr std::int64_t kDraws = 1 << 16;
  for (NumberFormat format : kSomeFormats) {
    const float largest = largest_value(format);
    for (float x : {largest * 0.61f, -largest * 0.27f, largest / 300, -largest / 2000}) {
      const auto [below, above] = neighbours(format, x);
      const std::vector<float> same(kDraws, x);
      std::vector<float> y(kDraws);
      QuantizeArgs args = fp32_args(format, same, y.data());
      args.rounding = Rounding::stochastic;
      quantize_dequantize(args);
      double sum = 0;
      for (float value : y) {
        ASSERT_TRUE(value == below || value == above) << x << " " << value;
        sum += value;
      }
      const double step = above - below, p = step > 0 ? (x - below) / step : 0;
      EXPECT_NEAR(sum / kDraws, x, 5 * step * std::sqrt(p * (1 - p) / kDraws) + 1e-12) << x;
      // Element 1000 of a longer tensor draws as element 1000 of a shorter one; another key not.
      std::vector<float> shorter(kDraws);
      args.length = 1001;
      args.output = shorter.data();
      quantize_dequantize(args);
      EXPECT_TRUE(std::equal(y.begin(), y.begin() + 1001, shorter.begin()));
      if (step == 0 || std::abs(p - 0.5) > 0.4) continue;
      args.key = draw_key(1, 2, 4);
      quantize_dequantize(args);
      EXPECT_FALSE(std::equal(y.begin(), y.begin() + 1001, shorter.begin()));
    }
  }
}

TEST(Quantize, StochasticRoundingLeavesWhatTheFormatHolds) {
  for (NumberFormat format : kSomeFormats) {
    std::vector<float> x;
    for (int code = 0; code < 256; ++code) {
      const float value = decoded_value(format, static_cast<std::uint8_t>(code));
      if (std::isfinite(value) && std::abs(value) <= largest_value(format)) x.push_back(value);
    }
    for_each_rung(quantize_dequantize_ladder(), [&](Isa rung) {
      std::vector<float> y(x.size());
      QuantizeArgs args = fp32_args(format, x, y.data());
      args.rounding = Rounding::stochastic;
      quantize_dequantize(args);
      EXPECT_EQ(x, y) << isa_name(rung);
    });
  }
}

TEST(Quantize, OverflowSaturatesOrBecomesWhatTheFormatHas) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> x{kInfinity, -kInfinity, 1e30f, -1e30f, std::nanf("")};
  for_each_rung(quantize_dequantize_ladder(), [&](Isa rung) {
    for (NumberFormat format : kSomeFormats) {
      const float largest = largest_value(format);
      std::vector<float> y(x.size());
      QuantizeArgs args = fp32_args(format, x, y.data());
      quantize_dequantize(args);
      for (int i = 0; i < 4; ++i) {
        EXPECT_EQ(y[i], i % 2 ? -largest : largest) << isa_name(rung);
      }
      EXPECT_EQ(std::isnan(y[4]), format.specials != Specials::none) << isa_name(rung);
      args.overflow = Overflow::special;
      quantize_dequantize(args);
      for (int i = 0; i < 4; ++i) {
        const float sign = i % 2 ? -1 : 1;
        if (format.specials == Specials::fn || format.specials == Specials::fnuz) {
          EXPECT_TRUE(std::isnan(y[i])) << isa_name(rung);
        } else {
          EXPECT_EQ(y[i], sign * (format.specials == Specials::ieee ? kInfinity : largest));
        }
      }
    }
  });
}

TEST(NumberFormat, SaysWhatItLacks) {
  for (NumberFormat format : {kE4M3Fn, kE4M3, kE4M3Fnuz, kE4M3B11Fnuz, kE5M2, kE5M2Fnuz, kE3M4,
                              kE2M3Fn, kE3M2Fn, kE2M1Fn, fixed_point(2), fixed_point(8)}) {
    EXPECT_EQ(format_problem(format), "");
  }
  EXPECT_EQ(format_problem({5, 3, 15, Specials::ieee}), "more bits than a byte has");
  EXPECT_EQ(format_problem({-1, 3, 15, Specials::ieee}), "more bits than a byte has");
  EXPECT_EQ(format_problem({5, 0, 15, Specials::ieee}), "NaN needs a mantissa bit");
  EXPECT_EQ(format_problem({1, 2, 1, Specials::ieee}), "no normal number");
  EXPECT_EQ(format_problem({4, 3, 120, Specials::fn}), "numbers outside 2^-98 to 2^100");
  EXPECT_EQ(format_problem({4, 3, -120, Specials::fn}), "numbers outside 2^-98 to 2^100");
  EXPECT_EQ(format_problem(fixed_point(9)), "fixed point has 2 to 8 bits, no bias");
  EXPECT_EQ(largest_value(kE4M3Fn), 448);
  EXPECT_EQ(largest_value(kE5M2), 57344);
  EXPECT_EQ(largest_value(fixed_point(8)), 127);
}

}  // namespace
}  // namespace halftone::kernels
