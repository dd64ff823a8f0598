#include "halftone/kernels/cross_entropy/cross_entropy.h"

#include <ATen/Parallel.h>

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

constexpr std::int64_t kClasses[] = {1,  2,   7,   8,    9,    15,   16,   17,  31,
                                     33, 100, 128, 1000, 4095, 4096, 4097, 9000};
constexpr std::int64_t kIgnore = -100;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

struct CrossEntropyCase {
  HalfFormat format;
  std::int64_t rows, columns;
  float smoothing;
  std::vector<std::uint16_t> x;
  std::vector<std::int64_t> target;
  std::vector<float> loss, max, log, g;
  std::vector<std::uint16_t> gradient;

  CrossEntropyCase(HalfFormat format, std::int64_t rows, std::int64_t columns, float smoothing)
      : format(format), rows(rows), columns(columns), smoothing(smoothing) {
    std::mt19937 random(static_cast<unsigned>(columns));
    std::normal_distribution<float> normal(1, 4);
    std::uniform_int_distribution<std::int64_t> any(0, columns - 1);
    x.resize(static_cast<std::size_t>(rows * columns) + 2);  // one beyond each end, unaligned
    for (auto& each : x) each = float_to_half(format, normal(random));
    gradient.assign(x.size(), 0x1234);
    for (std::int64_t row = 0; row < rows; ++row) {
      target.push_back(row == 1 ? kIgnore : any(random));
      g.push_back(normal(random));
    }
    loss.assign(target.size(), kNan);
    max = log = loss;
  }

  double logit(std::int64_t row, std::int64_t i) const {
    return half_to_float(format, x[static_cast<std::size_t>(1 + row * columns + i)]);
  }
  double result(std::int64_t row, std::int64_t i) const {
    return half_to_float(format, gradient[static_cast<std::size_t>(1 + row * columns + i)]);
  }
  void run() {
    cross_entropy({format, rows, columns, x.data() + 1, target.data(), kIgnore, smoothing,
                   loss.data(), max.data(), log.data()});
    cross_entropy_backward({format, rows, columns, x.data() + 1, target.data(), kIgnore, smoothing,
                            max.data(), log.data(), g.data(), gradient.data() + 1});
  }
};

template <class Check>
void for_each_cross_entropy(Check check) {
  for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
    for (float smoothing : {0.0f, 0.1f, 1.0f}) {
      for (std::int64_t columns : kClasses) {
        SCOPED_TRACE(testing::Message() << columns << " columns, smoothing " << smoothing);
        check(CrossEntropyCase(format, columns < 2000 ? 4 : 2, columns, smoothing));
      }
    }
  }
}

TEST(CrossEntropy, LossAndGradientMatchFp64OnEveryRungFormatAndLength) {
  const auto check = [](Isa rung) {
    for_each_cross_entropy([&](CrossEntropyCase c) {
      c.run();
      ASSERT_EQ(c.gradient.front(), 0x1234) << isa_name(rung);
      ASSERT_EQ(c.gradient.back(), 0x1234) << isa_name(rung);
      const double n = static_cast<double>(c.columns), e = c.smoothing;
      for (std::int64_t row = 0; row < c.rows; ++row) {
        const std::int64_t t = c.target[static_cast<std::size_t>(row)];
        double sum = 0, mean = 0, largest = -kInf;
        for (std::int64_t i = 0; i < c.columns; ++i) {
          sum += std::exp(c.logit(row, i)), mean += c.logit(row, i) / n;
          largest = std::max(largest, std::abs(c.logit(row, i)));
        }
        const double g = c.g[static_cast<std::size_t>(row)], log = std::log(sum);
        const double loss = t == kIgnore ? 0 : log - (1 - e) * c.logit(row, t) - e * mean;
        ASSERT_NEAR(c.loss[static_cast<std::size_t>(row)], loss, tolerance::kFp32 * (1 + largest))
            << isa_name(rung) << " row " << row;
        for (std::int64_t i = 0; i < c.columns; ++i) {
          const double p = std::exp(c.logit(row, i) - log);
          const double exact = t == kIgnore ? 0 : g * (p - e / n - (i == t ? 1 - e : 0));
          const bool fp16 = c.format == HalfFormat::fp16;
          const double unit = fp16 ? tolerance::kFp16Unit : tolerance::kBf16Unit;
          // Half an ulp of the result, or of fp16's smallest normal, and fp32's error before
          // 1 and p cancel.
          const double bound = std::abs(exact) * unit + (fp16 ? 0x1p-25 : 0) +
                               tolerance::kFp32 * std::abs(g) * (p + e / n);
          ASSERT_NEAR(c.result(row, i), exact, bound) << isa_name(rung) << " element " << i;
        }
      }
    });
  };
  for_each_rung(cross_entropy_ladder(), check);
  for_each_rung(cross_entropy_backward_ladder(), check);
}

TEST(CrossEntropy, GradientMayOverwriteTheInput) {
  for_each_rung(cross_entropy_backward_ladder(), [](Isa rung) {
    CrossEntropyCase c(HalfFormat::bf16, 4, 100, 0.1f);
    c.run();
    cross_entropy_backward({c.format, c.rows, c.columns, c.x.data() + 1, c.target.data(), kIgnore,
                            c.smoothing, c.max.data(), c.log.data(), c.g.data(), c.x.data() + 1});
    for (std::size_t i = 1; i + 1 < c.x.size(); ++i)
      ASSERT_EQ(c.x[i], c.gradient[i]) << isa_name(rung);
  });
}

TEST(CrossEntropy, NanAndInfinityStayInTheirRow) {
  for_each_rung(cross_entropy_ladder(), [](Isa rung) {
    for (std::int64_t columns : {5, 40, 5000}) {
      CrossEntropyCase c(HalfFormat::fp16, 7, columns, 0);
      const auto put = [&](std::int64_t row, std::int64_t i, float value) {
        c.x[static_cast<std::size_t>(1 + row * columns + i)] = float_to_fp16(value);
      };
      c.target = {1, kIgnore, 1, 1, 2, 1, 1};
      put(1, 2, kNan);  // ignored
      put(2, 2, kNan);
      put(3, 2, kInf);
      put(4, 2, -kInf);  // the target
      put(5, 2, -kInf);  // another
      c.run();
      const auto loss = [&](std::size_t row) { return c.loss[row]; };
      EXPECT_TRUE(std::isfinite(loss(0)) && std::isfinite(loss(5)) && std::isfinite(loss(6)));
      EXPECT_EQ(loss(1), 0) << isa_name(rung);
      EXPECT_TRUE(std::isnan(loss(2)) && std::isnan(loss(3))) << isa_name(rung);
      EXPECT_EQ(loss(4), kInf) << isa_name(rung);
      for (std::int64_t row : {0, 1, 4, 5, 6}) {
        for (std::int64_t i = 0; i < columns; ++i) {
          ASSERT_TRUE(std::isfinite(c.result(row, i))) << isa_name(rung) << " row " << row;
        }
      }
      EXPECT_EQ(c.result(1, 2), 0);
      EXPECT_TRUE(std::isnan(c.result(2, 0)) && std::isnan(c.result(3, 0))) << isa_name(rung);
      EXPECT_EQ(c.result(5, 2), 0) << isa_name(rung);
    }
  });
}

TEST(CrossEntropy, ExtremeLogitsNeitherOverflowNorLoseTheLoss) {
  for_each_rung(cross_entropy_ladder(), [](Isa rung) {
    CrossEntropyCase c(HalfFormat::fp16, 1, 3, 0);
    c.x = {0, float_to_fp16(65504), float_to_fp16(-65504), float_to_fp16(65504), 0};
    c.target = {1};
    c.run();
    EXPECT_FLOAT_EQ(c.loss[0], 131008 + std::log(2.0f)) << isa_name(rung);
    c.target = {0};
    c.run();
    EXPECT_FLOAT_EQ(c.loss[0], std::log(2.0f)) << isa_name(rung);
  });
}

TEST(CrossEntropy, ResultsDoNotDependOnThreads) {
  CrossEntropyCase one(HalfFormat::bf16, 300, 333, 0.1f), three = one;
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  one.run();
  at::set_num_threads(3);
  three.run();
  at::set_num_threads(threads);
  EXPECT_EQ(one.loss, three.loss);
  EXPECT_EQ(one.gradient, three.gradient);
}

}  // namespace
}  // namespace halftone::kernels
