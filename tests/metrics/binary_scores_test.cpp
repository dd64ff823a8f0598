#include "halftone/metrics/binary_scores.h"

#include <cmath>
#include <string>

#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "tests/support/test.h"

namespace halftone::metrics {
namespace {

constexpr double kSums = 1e-12;  // some hundred additions in fp64

// tests/goldens/binary_scores.py.
TEST(BinaryScores, AreScikitLearns) {
  const Json goldens = Json::parse(
      read_file(HALFTONE_SOURCE_DIR "/tests/goldens/binary_scores.json"), "binary_scores.json");
  for (const Json& golden : goldens.as_array()) {
    SCOPED_TRACE(golden.at("name").as_string());
    BinaryScores scores;
    const auto& values = golden.at("scores").as_array();
    for (std::size_t i = 0; i < values.size(); ++i) {
      scores.add(values[i].as_double(), golden.at("labels").as_array()[i].as_int() == 1);
    }
    EXPECT_NEAR(scores.precision(0.5), golden.at("precision").as_double(), kSums);
    EXPECT_NEAR(scores.recall(0.5), golden.at("recall").as_double(), kSums);
    EXPECT_NEAR(scores.f1(0.5), golden.at("f1").as_double(), kSums);
    EXPECT_NEAR(scores.roc_auc(), golden.at("roc_auc").as_double(), kSums);
    EXPECT_NEAR(scores.average_precision(), golden.at("average_precision").as_double(), kSums);
  }
}

TEST(BinaryScores, WhatHasNoMeaningIsNaNOrZero) {
  BinaryScores scores;
  EXPECT_EQ(scores.f1(0.5), 0.0);
  scores.add(0.2, false);
  EXPECT_EQ(scores.precision(0.5), 0.0);
  EXPECT_TRUE(std::isnan(scores.roc_auc()));
  EXPECT_TRUE(std::isnan(scores.average_precision()));
  EXPECT_ERROR(scores.add(std::nan(""), true), "a score that is NaN");
}

}  // namespace
}  // namespace halftone::metrics
