#include "halftone/metrics/metric.h"

#include <cmath>

#include "tests/support/test.h"

namespace halftone::metrics {
namespace {

const MetricKind kEntropy{
    .name = "cross_entropy", .unit = "nats/character", .higher_is_better = false};

TEST(Metric, IsShownWithItsUnitSharesInPercent) {
  EXPECT_EQ(show(accuracy_kind(), 0.912), "91.20 %");
  EXPECT_EQ(show_difference(accuracy_kind(), -0.0012), "-0.12 points");
  EXPECT_EQ(show(kEntropy, 1.58734), "1.5873 nats/character");
  EXPECT_EQ(show_difference(kEntropy, 0.01), "+0.0100 nats/character");
  EXPECT_EQ(show({.name = "fid", .decimals = 1}, 12.34), "12.3");
}

TEST(Metric, TitleIsTheNameInWordsUnlessOneIsGiven) {
  EXPECT_EQ(title(kEntropy), "cross entropy");
  EXPECT_EQ(title({.name = "rmse", .title = "RMSE"}), "RMSE");
}

TEST(Metric, BetterGoesTheMetricsWayAndNeverToNaN) {
  EXPECT_TRUE(better(accuracy_kind(), 0.9, 0.8));
  EXPECT_FALSE(better(kEntropy, 0.9, 0.8));
  EXPECT_TRUE(better(kEntropy, 0.8, 0.9));
  EXPECT_FALSE(better(kEntropy, std::nan(""), 0.9));
}

TEST(Metric, IsFoundByName) {
  EXPECT_EQ(value_of({{accuracy_kind(), 0.5}, {kEntropy, 2.0}}, "cross_entropy"), 2.0);
  EXPECT_TRUE(std::isnan(value_of({{accuracy_kind(), 0.5}}, "rmse")));
}

}  // namespace
}  // namespace halftone::metrics
