#include <limits>
#include <vector>

#include "halftone/metrics/confusion.h"
#include "halftone/metrics/latency.h"
#include "halftone/metrics/peak_rss.h"
#include "halftone/metrics/running_loss.h"
#include "halftone/metrics/throughput.h"
#include "tests/support/test.h"

namespace halftone::metrics {
namespace {

TEST(RunningLossTest, WeighsBatchesByTheirSamples) {
  RunningLoss loss;
  EXPECT_EQ(loss.mean(), 0);
  loss.add(2, 30);
  loss.add(5, 10);
  EXPECT_EQ(loss.mean(), 2.75);
  EXPECT_EQ(loss.samples(), 40);
  loss.reset();
  EXPECT_EQ(loss.samples(), 0);
}

TEST(RunningLossTest, SumsInFp64) {
  RunningLoss loss;
  loss.add(1e8, 1);
  for (int i = 0; i < 1000; ++i) loss.add(0.5, 1);  // an fp32 sum would not move
  EXPECT_EQ(loss.mean() * 1001, 1e8 + 500);
}

TEST(ConfusionMatrixTest, CountsPairs) {
  ConfusionMatrix matrix(3);
  const std::vector<std::int64_t> targets = {0, 0, 0, 1, 1, 2}, predicted = {0, 0, 1, 1, 2, 2};
  matrix.add(targets.data(), predicted.data(), 6);
  EXPECT_EQ(matrix.count(0, 1), 1);
  EXPECT_EQ(matrix.count(1, 0), 0);
  EXPECT_EQ(matrix.total(), 6);
  EXPECT_NEAR(matrix.accuracy(), 4.0 / 6, 1e-15);
  EXPECT_NEAR(matrix.recall(0), 2.0 / 3, 1e-15);
  EXPECT_NEAR(matrix.precision(0), 1, 1e-15);
  EXPECT_NEAR(matrix.precision(2), 0.5, 1e-15);
  matrix.reset();
  EXPECT_EQ(matrix.accuracy(), 0);
  EXPECT_EQ(matrix.recall(1), 0);
}

TEST(ConfusionMatrixTest, IouIsWhatBothShareOfWhatEitherHas) {
  ConfusionMatrix matrix(4);
  const std::vector<std::int64_t> targets = {0, 0, 0, 1, 1, 2}, predicted = {0, 0, 1, 1, 2, 2};
  matrix.add(targets.data(), predicted.data(), 6);
  EXPECT_EQ(matrix.targets(0), 3);
  EXPECT_EQ(matrix.predictions(2), 2);
  EXPECT_NEAR(matrix.iou(0), 2.0 / 3, 1e-15);
  EXPECT_NEAR(matrix.iou(1), 1.0 / 3, 1e-15);
  EXPECT_NEAR(matrix.iou(2), 1.0 / 2, 1e-15);
  EXPECT_EQ(matrix.iou(3), 0);
  EXPECT_NEAR(matrix.mean_iou(), 0.5, 1e-15);  // class 3 does not occur
  EXPECT_EQ(ConfusionMatrix(2).mean_iou(), 0);
}

TEST(ConfusionMatrixTest, AClassOutOfRangeIsAnError) {
  ConfusionMatrix matrix(3);
  EXPECT_ERROR(matrix.add(0, 3), "class 3; expected 0 to 2");
  EXPECT_ERROR(matrix.add(-1, 0), "class -1");
  EXPECT_EQ(matrix.total(), 0);
  EXPECT_ERROR(ConfusionMatrix(0), "at least 1 class");
}

TEST(ThroughputTest, DividesSamplesByTime) {
  Throughput throughput;
  EXPECT_EQ(throughput.samples_per_s(), 0);
  throughput.add(128, 0.25);
  throughput.add(128, 0.75);
  EXPECT_EQ(throughput.samples_per_s(), 256);
}

TEST(LatencyTest, PercentilesAreNumpys) {
  Latency latency;
  EXPECT_EQ(latency.median(), 0);
  for (const double ms : {40.0, 10.0, 30.0, 20.0}) latency.add(ms);
  EXPECT_EQ(latency.median(), 25);
  EXPECT_EQ(latency.percentile(25), 17.5);  // numpy.percentile([10, 20, 30, 40], 25)
  EXPECT_EQ(latency.iqr(), 15);
  EXPECT_NEAR(latency.p95(), 38.5, 1e-12);
  EXPECT_EQ(latency.percentile(0), 10);
  EXPECT_EQ(latency.percentile(100), 40);
  EXPECT_EQ(latency.count(), 4u);
  EXPECT_EQ(latency.values().front(), 40);  // the order stays
  EXPECT_ERROR(latency.percentile(101), "101; expected a number from 0 to 100");
  EXPECT_ERROR(latency.percentile(std::numeric_limits<double>::quiet_NaN()), "nan");
}

TEST(PeakRssTest, GrowsByWhatIsTouchedAndCanBeReset) {
  const auto before = peak_rss_bytes();
  if (!before) GTEST_SKIP() << "no /proc/self/status here";
  EXPECT_GT(*before, 1 << 20);
  constexpr std::int64_t kBytes = 96 << 20;
  const auto touch = [] {
    const std::vector<char> block(kBytes, 1);
    EXPECT_EQ(block[kBytes / 2], 1);
  };
  if (!reset_peak_rss()) GTEST_SKIP() << "/proc/self/clear_refs may not be written here";
  const auto start = *peak_rss_bytes();
  touch();
  const auto high = *peak_rss_bytes();
  EXPECT_GE(high, start + kBytes / 10 * 9);
  EXPECT_TRUE(reset_peak_rss());
  EXPECT_LE(*peak_rss_bytes(), high - kBytes / 10 * 9);
}

}  // namespace
}  // namespace halftone::metrics
