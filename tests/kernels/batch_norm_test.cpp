#include "halftone/kernels/batch_norm/batch_norm.h"

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

constexpr HalfFormat kBatchNormFormats[] = {HalfFormat::fp16, HalfFormat::bf16};
constexpr float kBatchNormNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kBatchNormInfinity = std::numeric_limits<float>::infinity();

// A problem, its results from the kernel and, in fp64, from the definition.
struct BatchNormCase {
  HalfFormat format;
  BatchNormShape shape;
  Element parameters = Element::fp32;
  bool residual = false, relu = false;
  BatchNormMask mask = BatchNormMask::none;
  double eps = 1e-5, momentum = 0.1;
  float center = 0.3f, spread = 1.5f;

  std::size_t channels() const { return static_cast<std::size_t>(shape.channels); }
  std::size_t size() const {
    return static_cast<std::size_t>(shape.batch * shape.channels * shape.plane);
  }
  std::size_t channel_of(std::size_t i) const {
    const auto plane = static_cast<std::size_t>(shape.plane);
    return shape.channels_last ? i % channels() : i / plane % channels();
  }

  // One element in front: nothing may rely on alignment.
  std::vector<std::uint16_t> x{}, z{}, y{}, dy{}, dx{}, dz{};
  std::vector<char> weight{}, bias{}, running_mean{}, running_var{}, dweight{}, dbias{};
  std::vector<float> mean{}, invstd{};
  std::vector<double> workspace{};

  void fill(unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (auto* each : {&x, &z, &y, &dy, &dx, &dz}) each->assign(size() + 2, 0x1234);
    for (std::size_t i = 0; i < size(); ++i) {
      x[i + 1] = float_to_half(format, center + spread * normal(random));
      z[i + 1] = float_to_half(format, normal(random));
      dy[i + 1] = float_to_half(format, normal(random));
    }
    for (auto* each : {&weight, &bias, &running_mean, &running_var, &dweight, &dbias}) {
      each->assign(4 * channels(), 0);
    }
    for (std::size_t c = 0; c < channels(); ++c) {
      const auto at = static_cast<std::int64_t>(c);
      set_element(parameters, weight.data(), at, 1 + 0.5f * normal(random));
      set_element(parameters, bias.data(), at, normal(random));
      set_element(parameters, running_mean.data(), at, normal(random));
      set_element(parameters, running_var.data(), at, 0.5f + std::abs(normal(random)));
    }
    mean.assign(channels(), -1), invstd.assign(channels(), -1);
    workspace.assign(static_cast<std::size_t>(batch_norm_workspace(shape) / 8 + 1), 0);
  }

  double value(const std::vector<char>& of, std::size_t c) const {
    return element_value(parameters, of.data(), static_cast<std::int64_t>(c));
  }
  double half(const std::vector<std::uint16_t>& of, std::size_t i) const {
    return half_to_float(format, of[i + 1]);
  }

  void forward(BatchNormStatistics source = BatchNormStatistics::computed) {
    batch_norm_forward({format, shape, x.data() + 1, residual ? z.data() + 1 : nullptr, relu,
                        y.data() + 1, parameters, weight.data(), bias.data(), running_mean.data(),
                        running_var.data(), source, momentum, eps, Element::fp32, mean.data(),
                        invstd.data(), workspace.data()});
  }

  void backward(bool constant_statistics = false) {
    batch_norm_backward({format,
                         shape,
                         dy.data() + 1,
                         x.data() + 1,
                         y.data() + 1,
                         mask,
                         dx.data() + 1,
                         residual ? dz.data() + 1 : nullptr,
                         parameters,
                         weight.data(),
                         bias.data(),
                         dweight.data(),
                         dbias.data(),
                         constant_statistics,
                         Element::fp32,
                         mean.data(),
                         invstd.data(),
                         running_mean.data(),
                         running_var.data(),
                         eps,
                         workspace.data()});
  }
};

struct ExactStatistics {
  std::vector<double> mean, var;
};

ExactStatistics exact_statistics(const BatchNormCase& one) {
  const double n = static_cast<double>(one.size()) / static_cast<double>(one.channels());
  ExactStatistics s{std::vector<double>(one.channels()), std::vector<double>(one.channels())};
  for (std::size_t i = 0; i < one.size(); ++i) s.mean[one.channel_of(i)] += one.half(one.x, i) / n;
  for (std::size_t i = 0; i < one.size(); ++i) {
    const double d = one.half(one.x, i) - s.mean[one.channel_of(i)];
    s.var[one.channel_of(i)] += d * d / n;
  }
  return s;
}

// Rounding a result to half, and below fp16's normal range half of its spacing.
double output_rounding(HalfFormat format, double value) {
  return format == HalfFormat::fp16 ? tolerance::kFp16Unit * std::abs(value) + 0x1p-25
                                    : tolerance::kBf16Unit * std::abs(value);
}

void expect_forward(const BatchNormCase& one, const ExactStatistics& s) {
  for (std::size_t i = 0; i < one.size(); ++i) {
    const std::size_t c = one.channel_of(i);
    const double slope = one.value(one.weight, c) / std::sqrt(s.var[c] + one.eps);
    const double x = one.half(one.x, i), z = one.residual ? one.half(one.z, i) : 0;
    double exact = (x - s.mean[c]) * slope + one.value(one.bias, c) + z;
    const double size = std::abs(slope) * (std::abs(x) + std::abs(s.mean[c])) +
                        std::abs(one.value(one.bias, c)) + std::abs(z);
    if (one.relu) exact = std::max(exact, 0.0);
    ASSERT_NEAR(one.half(one.y, i), exact,
                output_rounding(one.format, exact) + tolerance::kFp32 * size)
        << "element " << i << " of channel " << c;
  }
  ASSERT_EQ(one.y.front(), 0x1234);
  ASSERT_EQ(one.y.back(), 0x1234);
}

void expect_backward(const BatchNormCase& one, const ExactStatistics& s, bool constant) {
  const double n = static_cast<double>(one.size()) / static_cast<double>(one.channels());
  std::vector<double> sum(one.channels()), product(one.channels()), size(one.channels());
  const auto gradient = [&](std::size_t i) {
    const bool passes = one.mask == BatchNormMask::none || one.half(one.y, i) > 0;
    return passes ? one.half(one.dy, i) : 0;
  };
  for (std::size_t i = 0; i < one.size(); ++i) {
    const std::size_t c = one.channel_of(i);
    const double xhat = (one.half(one.x, i) - s.mean[c]) / std::sqrt(s.var[c] + one.eps);
    sum[c] += gradient(i);
    product[c] += gradient(i) * xhat;
    size[c] += std::abs(gradient(i)) * (1 + std::abs(xhat));
  }
  const auto rounding = [&](double value) {
    return one.parameters == Element::fp32 ? tolerance::kFp32 * std::abs(value)
                                           : output_rounding(one.format, value);
  };
  for (std::size_t c = 0; c < one.channels(); ++c) {
    ASSERT_NEAR(one.value(one.dbias, c), sum[c], rounding(sum[c]) + tolerance::kFp32 * size[c]);
    ASSERT_NEAR(one.value(one.dweight, c), product[c],
                rounding(product[c]) + tolerance::kFp32 * size[c]);
  }
  for (std::size_t i = 0; i < one.size(); ++i) {
    const std::size_t c = one.channel_of(i);
    const double invstd = 1 / std::sqrt(s.var[c] + one.eps);
    const double slope = one.value(one.weight, c) * invstd;
    const double x = one.half(one.x, i), g = gradient(i);
    double exact = g * slope, terms = std::abs(exact);
    if (!constant) {
      exact -= slope * (sum[c] + (x - s.mean[c]) * invstd * product[c]) / n;
      terms +=
          std::abs(slope) *
          (std::abs(sum[c]) + (std::abs(x) + std::abs(s.mean[c])) * invstd * std::abs(product[c])) /
          n;
    }
    ASSERT_NEAR(one.half(one.dx, i), exact,
                output_rounding(one.format, exact) + tolerance::kFp32 * terms)
        << "element " << i << " of channel " << c;
    if (one.residual) {
      ASSERT_EQ(one.half(one.dz, i), g);
    }
  }
  ASSERT_EQ(one.dx.front(), 0x1234);
  ASSERT_EQ(one.dx.back(), 0x1234);
}

const BatchNormShape kBatchNormShapes[] = {
    {true, 1, 1, 1},    {true, 2, 3, 5},    {true, 3, 64, 7},   {true, 1, 100, 9},
    {true, 5, 16, 333}, {true, 2, 2049, 3}, {true, 700, 33, 1}, {true, 2, 64, 16000},
    {false, 1, 1, 1},   {false, 2, 3, 5},   {false, 4, 7, 49},  {false, 1, 2, 20000},
    {false, 3, 17, 64}, {false, 40, 5, 1},  {false, 2, 3, 130}};

TEST(BatchNorm, TrainsAsInFp64OnEveryRungFormatAndShape) {
  at::set_num_threads(1);
  for_each_rung(batch_norm_forward_ladder(), [](Isa rung) {
    unsigned seed = 1;
    for (HalfFormat format : kBatchNormFormats) {
      for (const BatchNormShape& shape : kBatchNormShapes) {
        const bool big = shape.batch * shape.channels * shape.plane > 100'000;
        for (int variant = 0; variant < (big ? 1 : 5); ++variant) {
          SCOPED_TRACE(testing::Message()
                       << isa_name(rung) << " fp16 " << (format == HalfFormat::fp16) << " shape "
                       << shape.batch << "x" << shape.channels << "x" << shape.plane << " variant "
                       << variant);
          BatchNormCase one{format, shape};
          if (variant == 1) one.parameters = element_of(format);
          one.relu = variant >= 2;
          one.residual = variant >= 4;
          if (variant >= 2) one.mask = BatchNormMask::output;
          if (variant == 3) one.mask = BatchNormMask::input;
          one.fill(seed++);
          const BatchNormCase start = one;
          one.forward();
          const ExactStatistics s = exact_statistics(one);
          expect_forward(one, s);
          const double n = static_cast<double>(one.size()) / static_cast<double>(one.channels());
          const double unit = one.parameters == Element::fp32 ? tolerance::kFp32 : 0x1p-7;
          for (std::size_t c = 0; c < one.channels(); ++c) {
            ASSERT_NEAR(one.mean[c], s.mean[c], tolerance::kFp32 * (1 + std::sqrt(s.var[c])));
            ASSERT_NEAR(one.invstd[c] * std::sqrt(s.var[c] + one.eps), 1, tolerance::kFp32);
            const double moved = 0.9 * start.value(start.running_mean, c) + 0.1 * s.mean[c];
            ASSERT_NEAR(one.value(one.running_mean, c), moved, unit * (1 + std::abs(moved)));
            if (n == 1) continue;
            const double spread =
                0.9 * start.value(start.running_var, c) + 0.1 * s.var[c] * n / (n - 1);
            ASSERT_NEAR(one.value(one.running_var, c), spread, unit * spread);
          }
          one.backward();
          expect_backward(one, s, false);
        }
      }
    }
  });
}

TEST(BatchNorm, EvaluatesWithTheRunningStatistics) {
  for_each_rung(batch_norm_backward_ladder(), [](Isa rung) {
    for (HalfFormat format : kBatchNormFormats) {
      for (bool channels_last : {false, true}) {
        SCOPED_TRACE(isa_name(rung));
        BatchNormCase one{format, {channels_last, 3, 21, 10}};
        one.relu = one.residual = true;
        one.mask = BatchNormMask::output;
        one.fill(5);
        ExactStatistics s;
        for (std::size_t c = 0; c < one.channels(); ++c) {
          s.mean.push_back(one.value(one.running_mean, c));
          s.var.push_back(one.value(one.running_var, c));
        }
        const auto before = one.running_mean;
        one.forward(BatchNormStatistics::running);
        expect_forward(one, s);
        EXPECT_TRUE(one.running_mean == before);
        one.backward(true);
        expect_backward(one, s, true);

        // The same statistics, handed over.
        BatchNormCase given = one;
        for (std::size_t c = 0; c < one.channels(); ++c) {
          given.mean[c] = static_cast<float>(s.mean[c]);
          given.invstd[c] = static_cast<float>(1 / std::sqrt(s.var[c] + one.eps));
        }
        given.forward(BatchNormStatistics::given);
        EXPECT_TRUE(given.y == one.y);
      }
    }
  });
}

// The mask from x is the output's, also where the output's rounding to half decides.
TEST(BatchNorm, MaskFromInputIsTheOutputs) {
  for_each_rung(batch_norm_backward_ladder(), [](Isa rung) {
    for (HalfFormat format : kBatchNormFormats) {
      for (bool channels_last : {false, true}) {
        BatchNormCase one{format, {channels_last, 4, 19, 64}};
        one.relu = true;
        one.mask = BatchNormMask::output;
        one.fill(6);
        for (std::size_t c = 0; c < one.channels(); ++c) {  // outputs at fp16's smallest numbers
          set_element(Element::fp32, one.weight.data(), static_cast<std::int64_t>(c), 0x1p-24f);
          set_element(Element::fp32, one.bias.data(), static_cast<std::int64_t>(c), 0);
        }
        one.forward();
        BatchNormCase other = one;
        other.mask = BatchNormMask::input;
        one.backward();
        other.backward();
        EXPECT_TRUE(one.dx == other.dx && one.dweight == other.dweight && one.dbias == other.dbias)
            << isa_name(rung);
      }
    }
  });
}

// Where one element of a million is far off, and where the mean is far from zero.
TEST(BatchNorm, StatisticsSurviveOutliersAndOffsets) {
  for_each_rung(batch_norm_forward_ladder(), [](Isa rung) {
    for (bool channels_last : {false, true}) {
      BatchNormCase one{HalfFormat::fp16, {channels_last, 4, 3, 30'000}};
      one.center = 2000;
      one.spread = 2;
      one.fill(7);
      one.x[1] = float_to_fp16(60'000);  // in the sample that the sums are centred on
      one.forward();
      const ExactStatistics s = exact_statistics(one);
      for (std::size_t c = 0; c < 3; ++c) {
        EXPECT_NEAR(one.mean[c], s.mean[c], 1e-6 * s.mean[c]) << isa_name(rung);
        EXPECT_NEAR(one.invstd[c] * std::sqrt(s.var[c] + one.eps), 1, tolerance::kFp32)
            << isa_name(rung) << " channel " << c;
      }
    }
  });
}

TEST(BatchNorm, NanAndInfinityStayInTheirChannel) {
  for_each_rung(batch_norm_forward_ladder(), [](Isa rung) {
    for (HalfFormat format : kBatchNormFormats) {
      for (bool channels_last : {false, true}) {
        for (std::size_t place : {0, 100, 203}) {
          for (float bad : {kBatchNormNan, kBatchNormInfinity, -kBatchNormInfinity}) {
            BatchNormCase one{format, {channels_last, 2, 6, 17}};
            one.relu = true;
            one.mask = BatchNormMask::output;
            one.fill(8);
            one.x[place + 1] = float_to_half(format, bad);
            one.forward();
            one.backward();
            const std::size_t poisoned = one.channel_of(place);
            for (std::size_t i = 0; i < one.size(); ++i) {
              const bool expected = one.channel_of(i) == poisoned;
              ASSERT_EQ(std::isnan(one.half(one.y, i)), expected) << isa_name(rung);
              ASSERT_EQ(std::isnan(one.half(one.dx, i)), expected) << isa_name(rung);
            }
            // The mean is what the sum is: NaN or infinity.
            ASSERT_EQ(std::isnan(one.mean[poisoned]), std::isnan(bad));
            ASSERT_FALSE(std::isfinite(one.mean[poisoned]));
          }
        }
      }
    }
  });
}

TEST(BatchNorm, SameBitsForAnyThreadCount) {
  for_each_rung(batch_norm_forward_ladder(), [](Isa rung) {
    for (const BatchNormShape& shape :
         {BatchNormShape{true, 4, 40, 3001}, BatchNormShape{false, 4, 40, 3001}}) {
      BatchNormCase start{HalfFormat::bf16, shape};
      start.relu = start.residual = true;
      start.mask = BatchNormMask::output;
      start.fill(9);
      BatchNormCase expected = start;
      at::set_num_threads(1);
      expected.forward(), expected.backward();
      for (int threads : {2, 3}) {
        at::set_num_threads(threads);
        BatchNormCase one = start;
        one.forward(), one.backward();
        EXPECT_TRUE(one.y == expected.y && one.mean == expected.mean &&
                    one.invstd == expected.invstd && one.dx == expected.dx &&
                    one.dz == expected.dz && one.dweight == expected.dweight &&
                    one.dbias == expected.dbias && one.running_var == expected.running_var)
            << isa_name(rung) << " " << threads << " threads";
      }
      at::set_num_threads(1);
    }
  });
}

TEST(BatchNorm, EmptyInputGivesZeroGradients) {
  for_each_rung(batch_norm_backward_ladder(), [](Isa rung) {
    BatchNormCase one{HalfFormat::fp16, {true, 0, 5, 4}};
    one.fill(1);
    one.dweight.assign(20, 1), one.dbias.assign(20, 1);
    one.forward();
    one.backward();
    for (std::size_t c = 0; c < 5; ++c) {
      EXPECT_EQ(one.value(one.dweight, c), 0) << isa_name(rung);
      EXPECT_EQ(one.value(one.dbias, c), 0) << isa_name(rung);
    }
  });
}

}  // namespace
}  // namespace halftone::kernels
