#include "halftone/kernels/softmax/softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/support/rungs.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::kernels {
namespace {

constexpr std::int64_t kColumns[] = {1,  2,   7,   8,    9,    15,   16,   17,  31,
                                     33, 100, 128, 1000, 4095, 4096, 4097, 9000};

std::vector<std::uint16_t> gaussian(HalfFormat format, std::int64_t n, unsigned seed,
                                    float spread) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<std::uint16_t> list(static_cast<std::size_t>(n));
  for (auto& each : list) each = float_to_half(format, normal(random));
  return list;
}

// Half an ulp of the value, or of the smallest normal number, with room for the fp32 arithmetic.
double softmax_bound(HalfFormat format, double value, double magnitude) {
  const bool fp16 = format == HalfFormat::fp16;
  const double unit = fp16 ? tolerance::kFp16Unit : tolerance::kBf16Unit;
  return std::abs(value) * unit + (fp16 ? 0x1p-25 : 0) + tolerance::kFp32 * magnitude;
}

template <class Check>
void for_each_softmax(Check check) {
  for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
    for (bool log : {false, true}) {
      for (std::int64_t columns : kColumns) {
        SCOPED_TRACE(testing::Message() << columns << " columns, log " << log);
        check(format, log, columns, columns < 2000 ? 3 : 1);
      }
    }
  }
}

TEST(Softmax, MatchesFp64OnEveryRungFormatAndLength) {
  for_each_rung(softmax_ladder(), [](Isa rung) {
    for_each_softmax([&](HalfFormat format, bool log, std::int64_t columns, std::int64_t rows) {
      const auto x = gaussian(format, rows * columns + 1, 1, 4);
      std::vector<std::uint16_t> y(x.size() + 1, 0x1234);
      softmax({format, log, rows, columns, x.data() + 1, y.data() + 1});
      ASSERT_EQ(y.front(), 0x1234) << isa_name(rung);
      ASSERT_EQ(y.back(), 0x1234) << isa_name(rung);
      for (std::int64_t row = 0; row < rows; ++row) {
        const std::uint16_t* in = x.data() + 1 + row * columns;
        double largest = -1e9, sum = 0;
        for (std::int64_t i = 0; i < columns; ++i) {
          largest = std::max<double>(largest, half_to_float(format, in[i]));
        }
        for (std::int64_t i = 0; i < columns; ++i) {
          sum += std::exp(half_to_float(format, in[i]) - largest);
        }
        for (std::int64_t i = 0; i < columns; ++i) {
          const double shifted = half_to_float(format, in[i]) - largest;
          const double exact = log ? shifted - std::log(sum) : std::exp(shifted) / sum;
          ASSERT_NEAR(half_to_float(format, y[1 + row * columns + i]), exact,
                      softmax_bound(format, exact, log ? 1 : exact))
              << isa_name(rung) << " element " << i;
        }
      }
    });
  });
}

TEST(SoftmaxBackward, MatchesFp64OnEveryRungFormatAndLength) {
  for_each_rung(softmax_backward_ladder(), [](Isa rung) {
    for_each_softmax([&](HalfFormat format, bool log, std::int64_t columns, std::int64_t rows) {
      const auto g = gaussian(format, rows * columns + 1, 2, 1);
      auto y = gaussian(format, rows * columns + 1, 3, 1);
      for (auto& each : y) {  // as a forward pass leaves them: (0, 1), or below 0
        const float value = std::abs(half_to_float(format, each)) / 4;
        each = float_to_half(format, log ? -value * 8 : value);
      }
      std::vector<std::uint16_t> result(g.size() + 1, 0x1234);
      softmax_backward({format, log, rows, columns, g.data() + 1, y.data() + 1, result.data() + 1});
      ASSERT_EQ(result.front(), 0x1234) << isa_name(rung);
      ASSERT_EQ(result.back(), 0x1234) << isa_name(rung);
      for (std::int64_t row = 0; row < rows; ++row) {
        const std::int64_t first = 1 + row * columns;
        double sum = 0, magnitude = 0;
        for (std::int64_t i = first; i < first + columns; ++i) {
          const double term =
              half_to_float(format, g[i]) * (log ? 1.0 : half_to_float(format, y[i]));
          sum += term, magnitude += std::abs(term);
        }
        for (std::int64_t i = first; i < first + columns; ++i) {
          const double gi = half_to_float(format, g[i]), yi = half_to_float(format, y[i]);
          const double exact = log ? gi - std::exp(yi) * sum : yi * (gi - sum);
          ASSERT_NEAR(half_to_float(format, result[i]), exact,
                      softmax_bound(format, exact, std::abs(gi) + magnitude))
              << isa_name(rung) << " element " << i;
        }
      }
    });
  });
}

TEST(Softmax, NanAndInfinityFillTheirRowOnly) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for_each_rung(softmax_ladder(), [](Isa rung) {
    for (bool log : {false, true}) {
      for (std::int64_t columns : {5, 40, 5000}) {
        auto x = gaussian(HalfFormat::fp16, 4 * columns, 4, 1);
        x[columns + 2] = float_to_fp16(std::numeric_limits<float>::quiet_NaN());
        x[2 * columns + 2] = float_to_fp16(kInfinity);
        x[3 * columns + 2] = float_to_fp16(-kInfinity);
        std::vector<std::uint16_t> y(x.size());
        softmax({HalfFormat::fp16, log, 4, columns, x.data(), y.data()});
        for (std::int64_t i = 0; i < columns; ++i) {
          EXPECT_FALSE(std::isnan(fp16_to_float(y[i]))) << isa_name(rung);
          EXPECT_TRUE(std::isnan(fp16_to_float(y[columns + i]))) << isa_name(rung);
          EXPECT_TRUE(std::isnan(fp16_to_float(y[2 * columns + i]))) << isa_name(rung);
          EXPECT_FALSE(std::isnan(fp16_to_float(y[3 * columns + i]))) << isa_name(rung);
        }
        EXPECT_EQ(fp16_to_float(y[3 * columns + 2]), log ? -kInfinity : 0) << isa_name(rung);
        std::fill(x.begin(), x.begin() + columns, float_to_fp16(-kInfinity));
        softmax({HalfFormat::fp16, log, 1, columns, x.data(), y.data()});
        EXPECT_TRUE(std::isnan(fp16_to_float(y[0]))) << isa_name(rung);
      }
    }
  });
}

}  // namespace
}  // namespace halftone::kernels
