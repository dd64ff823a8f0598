// The state machine alone, on gaps that are made up.
#include "halftone/train/calibrated_precision.h"

#include <cmath>
#include <limits>

#include "halftone/base/error.h"
#include "tests/support/test.h"
#include "tests/train/rig.h"

namespace halftone {
namespace {

constexpr double kNotFinite = std::numeric_limits<double>::infinity();

Policy calibrated_policy(std::int64_t patience = 2) {
  Policy policy = Policy::preset("bf16");
  policy.calibrate =
      CalibrationPolicy{.every = 10, .loss_bound = 0.01, .release = 0.5, .patience = patience};
  return policy;
}

// A network each of whose operations puts the loss off by a share of its own while it is low.
struct MadeUpGaps : GapSource {
  FormatGap gap(const Policy& policy) override {
    FormatGap gap;
    gap.reference_loss = reference;
    gap.loss = 1 + stored;
    for (const auto& [name, cost] : costs) {
      if (!policy.module_format(name)) gap.loss += cost;
    }
    return gap;
  }
  std::vector<RaisableOperation> raisable(const Policy& policy) override {
    std::vector<RaisableOperation> result;
    for (const auto& [name, cost] : costs) {
      if (!policy.module_format(name)) result.push_back({{name, false}, "bf16", Format::fp32, {}});
    }
    return result;
  }
  void measure(const Policy&, std::vector<RaisableOperation>& operations) override {
    ++measured;
    for (RaisableOperation& each : operations) each.error = {costs.at(each.target.match), 0.1};
  }
  std::map<std::string, double> costs{{"a", 0.03}, {"b", 0.008}, {"c", 0.02}};
  double stored = 0, reference = 1;
  int measured = 0;
};

std::vector<std::string> names(const std::vector<PrecisionSwitch>& moves) {
  std::vector<std::string> result;
  for (const PrecisionSwitch& each : moves) result.push_back(each.name + " " + each.to);
  return result;
}
using Names = std::vector<std::string>;

TEST(CalibratedPrecision, TheMostSensitiveGoUpUntilTheGapIsBelowItsBound) {
  CalibratedPrecision calibrated(calibrated_policy());
  MadeUpGaps gaps;
  EXPECT_FALSE(calibrated.due(9));
  ASSERT_TRUE(calibrated.due(10));
  const CalibrationReport report = calibrated.calibrate(10, gaps);
  EXPECT_EQ(names(report.moves), (Names{"a fp32", "c fp32"}));
  EXPECT_NEAR(report.found.loss_gap(), 0.058, 1e-12);
  EXPECT_NEAR(report.left.loss_gap(), 0.008, 1e-12);
  EXPECT_EQ(report.raised, 2);
  EXPECT_EQ(report.note, "");
  EXPECT_EQ(report.moves[0].step, 10);
  EXPECT_EQ(report.moves[0].from, "bf16");
  EXPECT_EQ(report.moves[0].reason,
            "the loss is 5.8 % off fp32's (bound 1 %); alone in bf16 it puts the loss off by 3 %, "
            "the gradient by 10 %; with it in fp32 the loss is 2.8 % off fp32's (bound 1 %)");
  EXPECT_EQ(calibrated.moved(),
            (MovedFormats{{{"a", false}, Format::fp32}, {{"c", false}, Format::fp32}}));
  // Neither too large nor small: nothing moves, however often.
  for (int i = 2; i < 9; ++i) EXPECT_TRUE(calibrated.calibrate(10 * i, gaps).moves.empty());
  EXPECT_EQ(gaps.measured, 1);
}

TEST(CalibratedPrecision, WhereTheGapStaysSmallTheyComeDownOneAtATimeTheCheapestFirst) {
  CalibratedPrecision calibrated(calibrated_policy(3));
  MadeUpGaps gaps;
  calibrated.calibrate(10, gaps);
  gaps.costs = {{"a", 0.003}, {"b", 0.001}, {"c", 0.0005}};
  EXPECT_TRUE(calibrated.calibrate(20, gaps).moves.empty());
  gaps.costs["b"] = 0.006;  // above half the bound: the row of small gaps begins anew
  EXPECT_TRUE(calibrated.calibrate(30, gaps).moves.empty());
  gaps.costs["b"] = 0.001;
  EXPECT_TRUE(calibrated.calibrate(40, gaps).moves.empty());
  EXPECT_TRUE(calibrated.calibrate(50, gaps).moves.empty());
  const CalibrationReport first = calibrated.calibrate(60, gaps);
  EXPECT_EQ(names(first.moves), Names{"c bf16"});
  EXPECT_EQ(
      first.moves[0].reason,
      "the loss is 0.1 % off fp32's (bound 1 %), small for 3 calibrations; with it in bf16 the "
      "loss is 0.15 % off fp32's (bound 1 %)");
  EXPECT_EQ(names(calibrated.calibrate(70, gaps).moves), Names{"a bf16"});
  EXPECT_TRUE(calibrated.moved().empty());
}

TEST(CalibratedPrecision, WhatIsStillNeededStaysUpAndIsAskedForLessOften) {
  CalibratedPrecision calibrated(calibrated_policy());
  MadeUpGaps gaps;
  calibrated.calibrate(10, gaps);
  gaps.costs["b"] = 0;
  int asked = 0;
  struct Counted : MadeUpGaps {
    explicit Counted(int& count) : asked(count) {}
    FormatGap gap(const Policy& policy) override {
      ++asked;
      return MadeUpGaps::gap(policy);
    }
    int& asked;
  } counted(asked);
  counted.costs = gaps.costs;
  Names moves;
  std::vector<int> trials;
  for (int i = 2; i < 16; ++i) {
    asked = 0;
    for (const auto& each : names(calibrated.calibrate(10 * i, counted).moves)) {
      moves.push_back(each);
    }
    trials.push_back(asked - 1);
  }
  EXPECT_EQ(moves, Names{});
  EXPECT_EQ(trials, (std::vector<int>{0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2}));
}

TEST(CalibratedPrecision, UpAgainOnProbationItWaitsTwiceAsLong) {
  const auto down_after = [](bool on_probation) {
    CalibratedPrecision calibrated(calibrated_policy());
    MadeUpGaps gaps;
    gaps.costs = {{"a", 0.03}};
    calibrated.calibrate(10, gaps);
    gaps.costs["a"] = 0.001;
    calibrated.calibrate(20, gaps);
    EXPECT_EQ(names(calibrated.calibrate(30, gaps).moves), Names{"a bf16"});
    calibrated.calibrate(40, gaps);
    if (!on_probation) calibrated.calibrate(50, gaps);
    gaps.costs["a"] = 0.03;
    const CalibrationReport up = calibrated.calibrate(on_probation ? 50 : 60, gaps);
    EXPECT_EQ(names(up.moves), Names{"a fp32"});
    EXPECT_EQ(up.moves[0].reason.find("up again") != std::string::npos, on_probation);
    gaps.costs["a"] = 0.001;
    for (int i = 1;; ++i) {
      if (!calibrated.calibrate(60 + 10 * i, gaps).moves.empty()) return i;
    }
  };
  EXPECT_EQ(down_after(true), 4);
  EXPECT_EQ(down_after(false), 2);
}

TEST(CalibratedPrecision, WhatTheStoredWeightsCostMovesNothing) {
  CalibratedPrecision calibrated(calibrated_policy());
  MadeUpGaps gaps;
  gaps.stored = 0.05;
  gaps.costs = {{"a", 0.004}, {"b", 0.005}};
  const CalibrationReport report = calibrated.calibrate(10, gaps);
  EXPECT_TRUE(report.moves.empty());
  EXPECT_EQ(gaps.measured, 0);
  EXPECT_EQ(report.note,
            "the loss is 5.9 % off fp32's (bound 1 %); with all operations in fp32 the loss is 5 % "
            "off fp32's (bound 1 %)");
  gaps.costs["a"] = 0.04;  // the operations' own part, and no more, goes
  EXPECT_EQ(names(calibrated.calibrate(20, gaps).moves), Names{"a fp32"});
  gaps.costs = {};
  EXPECT_NE(calibrated.calibrate(30, gaps).note.find("no operation is left"), std::string::npos);
}

TEST(CalibratedPrecision, WhatIsNotFiniteInTheReferenceMovesNothingElseItGoesUp) {
  CalibratedPrecision calibrated(calibrated_policy());
  MadeUpGaps gaps;
  gaps.reference = NAN;
  const CalibrationReport report = calibrated.calibrate(10, gaps);
  EXPECT_TRUE(report.moves.empty());
  EXPECT_EQ(report.note, "the loss is not finite in fp32");
  gaps.reference = 1;
  gaps.costs["b"] = kNotFinite;
  const CalibrationReport up = calibrated.calibrate(20, gaps);
  EXPECT_EQ(names(up.moves), (Names{"b fp32", "a fp32", "c fp32"}));
  EXPECT_NE(up.moves[0].reason.find("the loss is not finite, fp32's is; alone in bf16 it is not"),
            std::string::npos)
      << up.moves[0].reason;
  gaps.stored = kNotFinite;  // whatever operations compute in
  EXPECT_TRUE(calibrated.calibrate(30, gaps).moves.empty());
}

TEST(CalibratedPrecision, TheMetricHasABoundOfItsOwn) {
  CalibrationPolicy rule{.loss_bound = 0.5, .metric_bound = 0.01};
  FormatGap gap{.loss = 1.1, .reference_loss = 1, .metric = {}, .reference_metric = 0.75};
  EXPECT_DOUBLE_EQ(gap.over_bound(rule), gap.loss_gap() / 0.5);
  gap.metric = metrics::MetricValue{metrics::accuracy_kind(), 0.72};
  EXPECT_NEAR(gap.over_bound(rule), 3, 1e-9);
  EXPECT_EQ(gap.text(rule),
            "the loss is 10 % off fp32's (bound 50 %), accuracy is 3.00 points off fp32's (bound "
            "1.00 points)");
  rule.loss_bound = 0;
  gap.loss = kNotFinite;
  EXPECT_NEAR(gap.over_bound(rule), 3, 1e-9);
  gap.metric->value = 0.75;
  EXPECT_EQ(gap.over_bound(rule), 0);
}

TEST(CalibratedPrecision, ItsStateReadsBackTheSame) {
  CalibratedPrecision calibrated(calibrated_policy());
  MadeUpGaps gaps;
  calibrated.calibrate(10, gaps);
  gaps.costs = {{"a", 0.001}, {"b", 0.001}, {"c", 0.001}};
  for (int i = 2; i < 4; ++i) calibrated.calibrate(10 * i, gaps);  // one is on probation
  const StateDict state = calibrated.state_dict();
  CalibratedPrecision again(calibrated_policy());
  again.load_state_dict(state);
  EXPECT_EQ(rig::difference(again.state_dict(), state), "");
  EXPECT_EQ(again.moved(), calibrated.moved());
  EXPECT_EQ(again.moved().size(), 1u);
  for (const char* key : {"wait", "to"}) {
    StateDict wrong = calibrated.state_dict();
    EXPECT_EQ(wrong.begin()->value().toGenericDict().erase(key), 1u);
    EXPECT_ERROR(again.load_state_dict(wrong), key);
    EXPECT_EQ(again.moved(), calibrated.moved());
  }
}

}  // namespace
}  // namespace halftone
