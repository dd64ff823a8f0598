#include "halftone/kernels/layer_norm/layer_norm.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/support/rungs.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::kernels {
namespace {

constexpr HalfFormat kLayerNormFormats[] = {HalfFormat::fp16, HalfFormat::bf16};

// A problem and the kernel's results; one element in front of everything: nothing may rely on
// alignment.
struct LayerNormCase {
  HalfFormat format;
  std::int64_t rows, length;
  Element parameters = Element::fp32;
  bool affine = true;
  double eps = 1e-5;
  float center = 0.3f, spread = 1.5f;

  std::vector<std::uint16_t> x{}, y{}, dy{}, dx{};
  std::vector<char> weight{}, bias{}, dweight{}, dbias{};
  std::vector<float> mean{}, invstd{};
  std::vector<double> workspace{};

  void fill(unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto size = static_cast<std::size_t>(rows * length);
    for (auto* each : {&x, &y, &dy, &dx}) each->assign(size + 2, 0x1234);
    for (std::size_t i = 1; i <= size; ++i) {
      x[i] = float_to_half(format, center + spread * normal(random));
      dy[i] = float_to_half(format, normal(random));
    }
    for (auto* each : {&weight, &bias, &dweight, &dbias}) {
      each->assign(static_cast<std::size_t>(4 * length), 0);
    }
    for (std::int64_t j = 0; j < length; ++j) {
      set_element(parameters, weight.data(), j, 1 + 0.5f * normal(random));
      set_element(parameters, bias.data(), j, normal(random));
    }
    mean.assign(static_cast<std::size_t>(rows), -1), invstd.assign(mean.size(), -1);
    workspace.assign(static_cast<std::size_t>(layer_norm_workspace(rows, length) / 8 + 1), 0);
  }

  double half(const std::vector<std::uint16_t>& of, std::int64_t row, std::int64_t j) const {
    return half_to_float(format, of[static_cast<std::size_t>(row * length + j + 1)]);
  }
  double value(const std::vector<char>& of, std::int64_t j) const {
    return element_value(parameters, of.data(), j);
  }
  double slope(std::int64_t j) const { return affine ? value(weight, j) : 1; }
  double offset(std::int64_t j) const { return affine ? value(bias, j) : 0; }

  void run() {
    layer_norm_forward({format, rows, length, x.data() + 1, y.data() + 1, parameters,
                        affine ? weight.data() : nullptr, affine ? bias.data() : nullptr, eps,
                        Element::fp32, mean.data(), invstd.data()});
    layer_norm_backward({format, rows, length, dy.data() + 1, x.data() + 1, dx.data() + 1,
                         parameters, affine ? weight.data() : nullptr, dweight.data(), dbias.data(),
                         Element::fp32, mean.data(), invstd.data(), workspace.data()});
  }
};

double layer_norm_rounding(HalfFormat format, double value) {
  return format == HalfFormat::fp16 ? tolerance::kFp16Unit * std::abs(value) + 0x1p-25
                                    : tolerance::kBf16Unit * std::abs(value);
}

void expect_exact(const LayerNormCase& one) {
  const auto n = static_cast<double>(one.length);
  const auto columns = static_cast<std::size_t>(one.length);
  std::vector<double> dweight(columns), dbias(columns), size(columns);
  for (std::int64_t row = 0; row < one.rows; ++row) {
    double mean = 0, var = 0;
    for (std::int64_t j = 0; j < one.length; ++j) mean += one.half(one.x, row, j) / n;
    for (std::int64_t j = 0; j < one.length; ++j) {
      var += (one.half(one.x, row, j) - mean) * (one.half(one.x, row, j) - mean) / n;
    }
    const double invstd = 1 / std::sqrt(var + one.eps);
    const auto r = static_cast<std::size_t>(row);
    ASSERT_NEAR(one.mean[r], mean, tolerance::kFp32 * (std::abs(mean) + std::sqrt(var)));
    ASSERT_NEAR(one.invstd[r], invstd, tolerance::kFp32 * invstd);
    double g_sum = 0, product_sum = 0;
    for (std::int64_t j = 0; j < one.length; ++j) {
      const double x = one.half(one.x, row, j), xhat = (x - mean) * invstd;
      const double dy = one.half(one.dy, row, j), exact = xhat * one.slope(j) + one.offset(j);
      const double terms = std::abs(one.slope(j)) * invstd * (std::abs(x) + std::abs(mean)) +
                           std::abs(one.offset(j));
      ASSERT_NEAR(one.half(one.y, row, j), exact,
                  layer_norm_rounding(one.format, exact) + tolerance::kFp32 * terms)
          << "row " << row << " column " << j;
      g_sum += dy * one.slope(j) / n;
      product_sum += dy * one.slope(j) * xhat / n;
      const auto c = static_cast<std::size_t>(j);
      dweight[c] += dy * xhat, dbias[c] += dy;
      size[c] += std::abs(dy) * (1 + invstd * (std::abs(x) + std::abs(mean)));
    }
    for (std::int64_t j = 0; j < one.length; ++j) {
      const double x = one.half(one.x, row, j), g = one.half(one.dy, row, j) * one.slope(j);
      const double exact = invstd * (g - g_sum - (x - mean) * invstd * product_sum);
      const double terms =
          invstd * (std::abs(g) + std::abs(g_sum) + 1 +
                    (std::abs(x) + std::abs(mean)) * invstd * (std::abs(product_sum) + 1));
      ASSERT_NEAR(one.half(one.dx, row, j), exact,
                  layer_norm_rounding(one.format, exact) + tolerance::kFp32 * terms)
          << "row " << row << " column " << j;
    }
  }
  const auto rounding = [&](double value) {
    return one.parameters == Element::fp32 ? tolerance::kFp32 * std::abs(value)
                                           : layer_norm_rounding(one.format, value);
  };
  for (std::size_t c = 0; c < columns; ++c) {
    const auto j = static_cast<std::int64_t>(c);
    ASSERT_NEAR(one.value(one.dweight, j), dweight[c],
                rounding(dweight[c]) + tolerance::kFp32 * size[c]);
    ASSERT_NEAR(one.value(one.dbias, j), dbias[c], rounding(dbias[c]) + tolerance::kFp32 * size[c]);
  }
  for (const auto* each : {&one.y, &one.dx}) {
    ASSERT_EQ(each->front(), 0x1234);
    ASSERT_EQ(each->back(), 0x1234);
  }
}

TEST(LayerNorm, MatchesFp64OnEveryRungFormatAndShape) {
  at::set_num_threads(1);
  for_each_rung(layer_norm_backward_ladder(), [](Isa rung) {
    unsigned seed = 1;
    for (HalfFormat format : kLayerNormFormats) {
      for (std::int64_t rows : {1, 3, 7, 101}) {
        for (std::int64_t length : {1, 2, 7, 8, 15, 16, 17, 63, 64, 65, 131, 768}) {
          for (int variant = 0; variant < 3; ++variant) {
            SCOPED_TRACE(testing::Message() << isa_name(rung) << " " << rows << "x" << length
                                            << " variant " << variant);
            LayerNormCase one{format, rows, length};
            if (variant == 1) one.parameters = element_of(format);
            one.affine = variant < 2;
            one.fill(seed++);
            one.run();
            expect_exact(one);
          }
        }
      }
    }
    LayerNormCase lengthy{HalfFormat::fp16, 2, 100'003};
    lengthy.fill(2);
    lengthy.run();
    expect_exact(lengthy);
  });
}

// A first element that is far off is a bad center; a large mean is a large one.
TEST(LayerNorm, StatisticsSurviveOutliersAndOffsets) {
  for_each_rung(layer_norm_forward_ladder(), [](Isa rung) {
    SCOPED_TRACE(isa_name(rung));
    LayerNormCase one{HalfFormat::fp16, 3, 5000};
    one.center = 1000;
    one.spread = 2;
    one.fill(3);
    for (std::size_t i = 1; i <= 16; ++i) one.x[i] = float_to_fp16(60'000);
    one.run();
    expect_exact(one);
  });
}

TEST(LayerNorm, NanAndInfinityStayInTheirRow) {
  for_each_rung(layer_norm_forward_ladder(), [](Isa rung) {
    for (HalfFormat format : kLayerNormFormats) {
      for (std::int64_t place : {0, 20, 36}) {
        for (float bad :
             {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
          LayerNormCase one{format, 5, 37};
          one.fill(4);
          one.x[static_cast<std::size_t>(2 * 37 + place + 1)] = float_to_half(format, bad);
          one.run();
          for (std::int64_t row = 0; row < 5; ++row) {
            for (std::int64_t j = 0; j < 37; ++j) {
              ASSERT_EQ(std::isnan(one.half(one.y, row, j)), row == 2) << isa_name(rung);
              ASSERT_EQ(std::isnan(one.half(one.dx, row, j)), row == 2) << isa_name(rung);
            }
          }
        }
      }
    }
  });
}

TEST(LayerNorm, SameBitsForAnyThreadCount) {
  for_each_rung(layer_norm_backward_ladder(), [](Isa rung) {
    LayerNormCase start{HalfFormat::bf16, 700, 300};
    start.fill(5);
    LayerNormCase expected = start;
    at::set_num_threads(1);
    expected.run();
    for (int threads : {2, 3}) {
      at::set_num_threads(threads);
      LayerNormCase one = start;
      one.run();
      EXPECT_TRUE(one.y == expected.y && one.dx == expected.dx && one.dweight == expected.dweight &&
                  one.dbias == expected.dbias && one.mean == expected.mean &&
                  one.invstd == expected.invstd)
          << isa_name(rung) << " " << threads << " threads";
    }
    at::set_num_threads(1);
  });
}

TEST(LayerNorm, NoRowsGiveZeroGradients) {
  for_each_rung(layer_norm_backward_ladder(), [](Isa rung) {
    LayerNormCase one{HalfFormat::bf16, 0, 9};
    one.fill(6);
    one.dweight.assign(36, 1), one.dbias.assign(36, 1);
    one.run();
    for (std::int64_t j = 0; j < 9; ++j) {
      EXPECT_EQ(one.value(one.dweight, j), 0) << isa_name(rung);
      EXPECT_EQ(one.value(one.dbias, j), 0) << isa_name(rung);
    }
  });
}

}  // namespace
}  // namespace halftone::kernels
