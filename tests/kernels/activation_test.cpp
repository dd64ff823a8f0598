#include "halftone/kernels/activation/activation.h"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/support/rungs.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::kernels {
namespace {

constexpr ActivationFunction kActivations[] = {
    ActivationFunction::gelu, ActivationFunction::gelu_tanh, ActivationFunction::silu};
constexpr HalfFormat kFormats[] = {HalfFormat::fp16, HalfFormat::bf16};

// By the definitions, in fp64.
double expected_value(ActivationFunction activation, double x) {
  if (activation == ActivationFunction::gelu) return x * 0.5 * (1 + std::erf(x / std::sqrt(2.0)));
  if (activation == ActivationFunction::silu) return x / (1 + std::exp(-x));
  const double u = std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x);
  return x * 0.5 * (1 + std::tanh(u));
}

double expected_slope(ActivationFunction activation, double x) {
  const double h = 1e-5 * std::max(1.0, std::abs(x));
  return (expected_value(activation, x + h) - expected_value(activation, x - h)) / (2 * h);
}

double half_ulp(HalfFormat format, double value) {
  const double unit = format == HalfFormat::fp16 ? tolerance::kFp16Unit : tolerance::kBf16Unit;
  const double smallest = format == HalfFormat::fp16 ? 0x1p-25 : 1e-40;
  return std::max(std::abs(value) * unit, smallest);
}

TEST(Activation, EveryHalfIsWithinHalfAnUlp) {
  for_each_rung(activation_ladder(), [](Isa rung) {
    for (ActivationFunction each : kActivations) {
      for (HalfFormat format : kFormats) {
        std::vector<std::uint16_t> x(65536), y(65536);
        for (int i = 0; i < 65536; ++i) x[i] = static_cast<std::uint16_t>(i);
        activation({each, format, 65536, x.data(), y.data()});
        for (int i = 0; i < 65536; ++i) {
          const double in = half_to_float(format, x[i]), out = half_to_float(format, y[i]);
          if (!std::isfinite(in)) {
            EXPECT_EQ(std::isnan(out), !(in > 0)) << isa_name(rung) << " " << in;
            continue;
          }
          const double exact = expected_value(each, in);
          // The test's own 1 + erf and 1 + tanh cancel.
          ASSERT_NEAR(out, exact, 1.02 * half_ulp(format, exact) + 1e-15 * std::abs(in))
              << isa_name(rung) << " of " << in;
        }
      }
    }
  });
}

TEST(ActivationBackward, MultipliesBySlopeOnEveryRungFormatAndLength) {
  for_each_rung(activation_backward_ladder(), [](Isa rung) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0, 2);
    for (ActivationFunction each : kActivations) {
      for (HalfFormat format : kFormats) {
        for (std::int64_t n : {0, 1, 7, 8, 15, 16, 17, 33, 255, 256, 257, 1000}) {
          const auto size = static_cast<std::size_t>(n + 2);
          std::vector<std::uint16_t> x(size), g(size), result(size, 0x1234);
          for (auto& value : x) value = float_to_half(format, normal(random));
          for (auto& value : g) value = float_to_half(format, normal(random));
          activation_backward({each, format, n, g.data() + 1, x.data() + 1, result.data() + 1});
          EXPECT_EQ(result.front(), 0x1234) << isa_name(rung);
          EXPECT_EQ(result.back(), 0x1234) << isa_name(rung);
          for (std::int64_t i = 1; i <= n; ++i) {
            const double exact =
                expected_slope(each, half_to_float(format, x[i])) * half_to_float(format, g[i]);
            // The quotient of differences is good to 1e-9.
            ASSERT_NEAR(half_to_float(format, result[i]), exact,
                        1.02 * half_ulp(format, exact) + 1e-8)
                << isa_name(rung) << " length " << n << " element " << i;
          }
        }
      }
    }
  });
}

TEST(ActivationBackward, WorksInPlaceAndKeepsNanInItsElement) {
  for_each_rung(activation_backward_ladder(), [](Isa rung) {
    std::vector<std::uint16_t> x(40, float_to_fp16(0.5f)), g(40, float_to_fp16(1.0f));
    g[19] = float_to_fp16(std::numeric_limits<float>::quiet_NaN());
    activation_backward(
        {ActivationFunction::gelu, HalfFormat::fp16, 40, g.data(), x.data(), g.data()});
    for (std::size_t i = 0; i < g.size(); ++i) {
      EXPECT_EQ(std::isnan(fp16_to_float(g[i])), i == 19) << isa_name(rung);
      EXPECT_TRUE(i == 19 || g[i] == g[0]) << isa_name(rung);
    }
  });
}

}  // namespace
}  // namespace halftone::kernels
