#include "halftone/metrics/ranking.h"

#include <cmath>

#include "tests/support/test.h"

namespace halftone::metrics {
namespace {

TEST(RankingMetrics, PlacesBelowTheCutoffCountByTheirDiscount) {
  RankingMetrics metrics(10);
  EXPECT_EQ(metrics.hit_ratio(), 0.0);
  for (const std::int64_t place : {0, 2, 9, 10, 50}) metrics.add(place);
  EXPECT_EQ(metrics.count(), 5);
  EXPECT_DOUBLE_EQ(metrics.hit_ratio(), 0.6);
  EXPECT_DOUBLE_EQ(metrics.ndcg(), (1 + 0.5 + 1 / std::log2(11.0)) / 5);
}

}  // namespace
}  // namespace halftone::metrics
