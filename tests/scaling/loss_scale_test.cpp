#include "halftone/scaling/loss_scale.h"

#include <limits>
#include <vector>

#include "tests/support/test.h"

namespace halftone {
namespace {

LossScalePolicy policy(double init, std::int64_t interval = 2000) {
  return {.kind = LossScaling::dynamic, .init = init, .growth_interval = interval};
}

TEST(LossScale, DefaultsAreThoseOfTorchAmp) {
  LossScale scale({.kind = LossScaling::dynamic});
  EXPECT_EQ(scale.value(), 65536);
  for (int i = 0; i < 1999; ++i) scale.update(false);
  EXPECT_EQ(scale.value(), 65536);
  scale.update(false);
  EXPECT_EQ(scale.value(), 131072);
  scale.update(true);
  EXPECT_EQ(scale.value(), 65536);
}

TEST(LossScale, AnOverflowStartsTheGrowthIntervalAgain) {
  LossScale scale(policy(1024, 3));
  scale.update(false);
  scale.update(false);
  scale.update(true);
  EXPECT_EQ(scale.value(), 512);
  scale.update(false);
  scale.update(false);
  EXPECT_EQ(scale.value(), 512);
  scale.update(false);
  EXPECT_EQ(scale.value(), 1024);
}

TEST(LossScale, FixedNeverMoves) {
  LossScale scale({.kind = LossScaling::fixed, .init = 128, .growth_interval = 1});
  scale.update(true);
  scale.update(false);
  EXPECT_EQ(scale.value(), 128);
}

TEST(LossScale, NoneIsOneWhateverInitSays) {
  LossScale scale({.kind = LossScaling::none, .init = 128, .growth_interval = 1});
  EXPECT_EQ(scale.value(), 1);
  scale.update(true);
  scale.update(false);
  EXPECT_EQ(scale.value(), 1);
}

TEST(LossScale, FallsToTheFloorAndNoFurther) {
  auto p = policy(16);
  p.min = 3;
  LossScale scale(p);
  std::vector<double> seen;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(scale.at_floor(), i > 2);
    scale.update(true);
    seen.push_back(scale.value());
  }
  EXPECT_EQ(seen, (std::vector<double>{8, 4, 3, 3, 3}));
}

TEST(LossScale, GrowsToTheCeilingAndNoFurther) {
  auto p = policy(16, 1);
  p.max = 100;
  LossScale scale(p);
  std::vector<double> seen;
  for (int i = 0; i < 5; ++i) {
    scale.update(false);
    seen.push_back(scale.value());
  }
  EXPECT_EQ(seen, (std::vector<double>{32, 64, 100, 100, 100}));
}

TEST(LossScale, GrowthNeverOverflowsFp32) {
  for (double factor : {2.0, 3.7, 1e30}) {
    auto p = policy(65536, 1);
    p.growth_factor = factor;
    p.max = 0x1p127;
    LossScale scale(p);
    for (int i = 0; i < 1000; ++i) {
      scale.update(false);
      ASSERT_LE(scale.value(), std::numeric_limits<float>::max()) << factor << " step " << i;
    }
    EXPECT_GT(scale.value(), 0x1p90) << factor;
  }
}

TEST(LossScale, HysteresisTakesThatManyOverflowsBeforeItFalls) {
  auto p = policy(1024, 4);
  p.hysteresis = 3;
  LossScale scale(p);
  scale.update(true);
  scale.update(false);  // a finite step alone does not forgive
  scale.update(true);
  EXPECT_EQ(scale.value(), 1024);
  scale.update(true);
  EXPECT_EQ(scale.value(), 512);
  scale.update(true);  // once it falls, it falls with every overflow
  EXPECT_EQ(scale.value(), 256);
}

TEST(LossScale, GrowthResetsTheHysteresis) {
  auto p = policy(1024, 2);
  p.hysteresis = 2;
  LossScale scale(p);
  scale.update(true);
  scale.update(false);
  scale.update(false);
  EXPECT_EQ(scale.value(), 2048);
  scale.update(true);
  EXPECT_EQ(scale.value(), 2048);
  scale.update(true);
  EXPECT_EQ(scale.value(), 1024);
}

TEST(LossScale, NumbersThatMakeNoSenseAreNamed) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const LossScalePolicy good{.kind = LossScaling::dynamic};
  auto with = [&](auto member, auto value) {
    LossScalePolicy p = good;
    p.*member = value;
    return p;
  };
  using P = LossScalePolicy;
  EXPECT_ERROR(LossScale{with(&P::init, 0.0)}, "loss_scale.init = 0");
  EXPECT_ERROR(LossScale{with(&P::init, nan)}, "loss_scale.init = nan");
  EXPECT_ERROR(LossScale{with(&P::init, 1e39)}, "loss_scale.init = 1e+39");
  EXPECT_ERROR(LossScale{with(&P::init, 0.5)}, "loss_scale.init = 0.5");  // below the floor
  EXPECT_ERROR(LossScale{with(&P::growth_factor, 0.5)}, "loss_scale.growth_factor = 0.5");
  EXPECT_ERROR(LossScale{with(&P::growth_factor, nan)}, "loss_scale.growth_factor = nan");
  EXPECT_ERROR(LossScale{with(&P::backoff_factor, 1.5)}, "loss_scale.backoff_factor = 1.5");
  EXPECT_ERROR(LossScale{with(&P::backoff_factor, -1.0)}, "loss_scale.backoff_factor = -1");
  EXPECT_ERROR(LossScale{with(&P::growth_interval, 0)}, "loss_scale.growth_interval = 0");
  EXPECT_ERROR(LossScale{with(&P::growth_interval, std::int64_t{1} << 31)},
               "loss_scale.growth_interval: 2147483648");
  EXPECT_ERROR(LossScale{with(&P::hysteresis, 0)}, "loss_scale.hysteresis = 0");
  EXPECT_ERROR(LossScale{with(&P::min, -1.0)}, "loss_scale.min = -1");
  EXPECT_ERROR(LossScale{with(&P::min, 1e-39)}, "loss_scale.min: 1e-39");
  EXPECT_ERROR(LossScale{with(&P::max, 0.5)}, "loss_scale.max = 0.5");
}

}  // namespace
}  // namespace halftone
