#include "halftone/kernels/group_norm/group_norm.h"

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

// A problem and the kernel's results.
struct GroupNormCase {
  HalfFormat format;
  BatchNormShape shape;
  std::int64_t groups;
  Element parameters = Element::fp32;
  bool affine = true;
  double eps = 1e-5;

  std::vector<std::uint16_t> x{}, y{}, dy{}, dx{};
  std::vector<char> weight{}, bias{}, dweight{}, dbias{};
  std::vector<float> mean{}, invstd{};
  std::vector<double> workspace{};

  std::size_t size() const {
    return static_cast<std::size_t>(shape.batch * shape.channels * shape.plane);
  }
  std::int64_t channel_of(std::size_t i) const {
    const auto at = static_cast<std::int64_t>(i);
    return shape.channels_last ? at % shape.channels : at / shape.plane % shape.channels;
  }
  // The group among those of all images.
  std::size_t group_of(std::size_t i) const {
    const std::int64_t image = static_cast<std::int64_t>(i) / (shape.channels * shape.plane);
    return static_cast<std::size_t>(image * groups + channel_of(i) / (shape.channels / groups));
  }

  void fill(unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (auto* each : {&x, &y, &dy, &dx}) each->assign(size() + 2, 0x1234);
    for (std::size_t i = 1; i <= size(); ++i) {
      x[i] = float_to_half(format, 0.3f + 1.5f * normal(random));
      dy[i] = float_to_half(format, normal(random));
    }
    for (auto* each : {&weight, &bias, &dweight, &dbias}) {
      each->assign(static_cast<std::size_t>(4 * shape.channels), 0);
    }
    for (std::int64_t c = 0; c < shape.channels; ++c) {
      set_element(parameters, weight.data(), c, 1 + 0.5f * normal(random));
      set_element(parameters, bias.data(), c, normal(random));
    }
    mean.assign(static_cast<std::size_t>(shape.batch * groups), -1);
    invstd = mean;
    workspace.assign(static_cast<std::size_t>(group_norm_workspace(shape) / 8 + 1), 0);
  }

  double half(const std::vector<std::uint16_t>& of, std::size_t i) const {
    return half_to_float(format, of[i + 1]);
  }
  double value(const std::vector<char>& of, std::int64_t c) const {
    return element_value(parameters, of.data(), c);
  }

  void run() {
    group_norm_forward({format, shape, groups, x.data() + 1, y.data() + 1, parameters,
                        affine ? weight.data() : nullptr, affine ? bias.data() : nullptr, eps,
                        Element::fp32, mean.data(), invstd.data(), workspace.data()});
    group_norm_backward({format, shape, groups, dy.data() + 1, x.data() + 1, dx.data() + 1,
                         parameters, affine ? weight.data() : nullptr, dweight.data(), dbias.data(),
                         Element::fp32, mean.data(), invstd.data(), workspace.data()});
  }
};

double group_norm_rounding(HalfFormat format, double value) {
  return format == HalfFormat::fp16 ? tolerance::kFp16Unit * std::abs(value) + 0x1p-25
                                    : tolerance::kBf16Unit * std::abs(value);
}

void expect_exact(const GroupNormCase& one) {
  const std::size_t groups = one.mean.size();
  const auto channels = static_cast<std::size_t>(one.shape.channels);
  const double n = static_cast<double>(one.size()) / static_cast<double>(groups);
  std::vector<double> mean(groups), var(groups), g_sum(groups), product_sum(groups);
  std::vector<double> dweight(channels), dbias(channels), size(channels);
  const auto weight = [&](std::int64_t c) { return one.affine ? one.value(one.weight, c) : 1; };
  for (std::size_t i = 0; i < one.size(); ++i) mean[one.group_of(i)] += one.half(one.x, i) / n;
  for (std::size_t i = 0; i < one.size(); ++i) {
    const double d = one.half(one.x, i) - mean[one.group_of(i)];
    var[one.group_of(i)] += d * d / n;
  }
  for (std::size_t g = 0; g < groups; ++g) {
    ASSERT_NEAR(one.mean[g], mean[g], tolerance::kFp32 * (1 + std::sqrt(var[g])));
    ASSERT_NEAR(one.invstd[g] * std::sqrt(var[g] + one.eps), 1, tolerance::kFp32);
  }
  for (std::size_t i = 0; i < one.size(); ++i) {
    const std::size_t g = one.group_of(i);
    const std::int64_t c = one.channel_of(i);
    const double invstd = 1 / std::sqrt(var[g] + one.eps), x = one.half(one.x, i);
    const double xhat = (x - mean[g]) * invstd, bias = one.affine ? one.value(one.bias, c) : 0;
    const double exact = xhat * weight(c) + bias;
    const double terms =
        std::abs(weight(c)) * invstd * (std::abs(x) + std::abs(mean[g])) + std::abs(bias);
    ASSERT_NEAR(one.half(one.y, i), exact,
                group_norm_rounding(one.format, exact) + tolerance::kFp32 * terms)
        << "element " << i;
    const double dy = one.half(one.dy, i);
    g_sum[g] += dy * weight(c) / n, product_sum[g] += dy * weight(c) * xhat / n;
    const auto at = static_cast<std::size_t>(c);
    dweight[at] += dy * xhat, dbias[at] += dy;
    size[at] += std::abs(dy) * (1 + invstd * (std::abs(x) + std::abs(mean[g])));
  }
  for (std::size_t i = 0; i < one.size(); ++i) {
    const std::size_t g = one.group_of(i);
    const double invstd = 1 / std::sqrt(var[g] + one.eps), x = one.half(one.x, i);
    const double own = one.half(one.dy, i) * weight(one.channel_of(i));
    const double exact = invstd * (own - g_sum[g] - (x - mean[g]) * invstd * product_sum[g]);
    const double terms =
        invstd * (std::abs(own) + std::abs(g_sum[g]) + 1 +
                  (std::abs(x) + std::abs(mean[g])) * invstd * (std::abs(product_sum[g]) + 1));
    ASSERT_NEAR(one.half(one.dx, i), exact,
                group_norm_rounding(one.format, exact) + tolerance::kFp32 * terms)
        << "element " << i;
  }
  const auto rounding = [&](double value) {
    return one.parameters == Element::fp32 ? tolerance::kFp32 * std::abs(value)
                                           : group_norm_rounding(one.format, value);
  };
  for (std::size_t c = 0; c < channels; ++c) {
    const auto at = static_cast<std::int64_t>(c);
    ASSERT_NEAR(one.value(one.dweight, at), dweight[c],
                rounding(dweight[c]) + tolerance::kFp32 * size[c]);
    ASSERT_NEAR(one.value(one.dbias, at), dbias[c],
                rounding(dbias[c]) + tolerance::kFp32 * size[c]);
  }
}

struct GroupedShape {
  BatchNormShape shape;
  std::int64_t groups;
};
const GroupedShape kGroupedShapes[] = {
    {{true, 1, 1, 7}, 1},    {{true, 3, 12, 5}, 4},   {{true, 2, 64, 50}, 8},
    {{true, 2, 33, 20}, 11}, {{true, 1, 512, 9}, 32}, {{true, 5, 20, 1}, 2},
    {{false, 1, 1, 7}, 1},   {{false, 3, 12, 5}, 4},  {{false, 2, 64, 50}, 8},
    {{false, 2, 6, 999}, 6}, {{false, 4, 6, 40}, 1}};

TEST(GroupNorm, MatchesFp64OnEveryRungFormatAndShape) {
  at::set_num_threads(1);
  for_each_rung(group_norm_backward_ladder(), [](Isa rung) {
    unsigned seed = 1;
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      for (const GroupedShape& each : kGroupedShapes) {
        for (int variant = 0; variant < 3; ++variant) {
          SCOPED_TRACE(testing::Message() << isa_name(rung) << " shape " << each.shape.channels_last
                                          << " " << each.shape.batch << "x" << each.shape.channels
                                          << "x" << each.shape.plane << " variant " << variant);
          GroupNormCase one{format, each.shape, each.groups};
          if (variant == 1) one.parameters = element_of(format);
          one.affine = variant < 2;
          one.fill(seed++);
          one.run();
          expect_exact(one);
        }
      }
    }
  });
}

TEST(GroupNorm, OutliersAndNanStayInTheirGroup) {
  for_each_rung(group_norm_forward_ladder(), [](Isa rung) {
    for (bool channels_last : {false, true}) {
      SCOPED_TRACE(isa_name(rung));
      GroupNormCase far{HalfFormat::fp16, {channels_last, 2, 8, 3000}, 4};
      far.fill(2);
      far.x[1] = float_to_fp16(60'000);
      far.run();
      expect_exact(far);
      for (float bad :
           {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        GroupNormCase one{HalfFormat::bf16, {channels_last, 3, 8, 21}, 4};
        one.fill(3);
        one.x[200] = float_to_bf16(bad);
        one.run();
        for (std::size_t i = 0; i < one.size(); ++i) {
          const bool poisoned = one.group_of(i) == one.group_of(199);
          ASSERT_EQ(std::isnan(one.half(one.y, i)), poisoned);
          ASSERT_EQ(std::isnan(one.half(one.dx, i)), poisoned);
        }
      }
    }
  });
}

TEST(GroupNorm, SameBitsForAnyThreadCount) {
  for_each_rung(group_norm_backward_ladder(), [](Isa rung) {
    for (const BatchNormShape& shape :
         {BatchNormShape{true, 1, 40, 5001}, BatchNormShape{true, 4, 40, 1001},
          BatchNormShape{false, 4, 40, 1001}}) {
      GroupNormCase start{HalfFormat::fp16, shape, 8};
      start.fill(4);
      GroupNormCase expected = start;
      at::set_num_threads(1);
      expected.run();
      for (int threads : {2, 3}) {
        at::set_num_threads(threads);
        GroupNormCase one = start;
        one.run();
        EXPECT_TRUE(one.y == expected.y && one.dx == expected.dx && one.mean == expected.mean &&
                    one.dweight == expected.dweight && one.dbias == expected.dbias)
            << isa_name(rung) << " " << threads << " threads";
      }
      at::set_num_threads(1);
    }
  });
}

}  // namespace
}  // namespace halftone::kernels
