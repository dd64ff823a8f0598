// The Frechet distance against numpy and scipy (tests/goldens/frechet.py).
#include "halftone/metrics/frechet.h"

#include <torch/torch.h>

#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::metrics {
namespace {

// As in frechet.py.
at::Tensor features(std::int64_t count, std::int64_t size, const Json& rule) {
  const auto n = torch::arange(count).unsqueeze(1), d = torch::arange(size).unsqueeze(0);
  const auto& list = rule.as_array();
  const auto whole =
      (list[0].as_int() * n + list[1].as_int() * d * d + list[2].as_int() * n * d) % 101;
  return (whole.to(torch::kDouble) / 50 - 1) * (1 + d.to(torch::kDouble) / 4);
}

// In parts of uneven size.
FeatureStatistics statistics(const at::Tensor& x, std::int64_t part) {
  FeatureStatistics result;
  for (std::int64_t i = 0; i < x.size(0); i += part) {
    result.add(x.narrow(0, i, std::min(part, x.size(0) - i)));
  }
  return result;
}

TEST(Frechet, DistancesAreScipys) {
  const std::string name = "frechet.json";
  const Json goldens = Json::parse(read_file(HALFTONE_SOURCE_DIR "/tests/goldens/" + name), name);
  for (const Json& golden : goldens.as_array()) {
    const std::int64_t count = golden.at("count").as_int(), size = golden.at("size").as_int();
    SCOPED_TRACE(std::to_string(count) + " of " + std::to_string(size));
    const auto one = statistics(features(count, size, golden.at("first")), 7);
    const auto other = statistics(features(count, size, golden.at("second")), 50);
    const double distance =
        frechet_distance(one.mean(), one.covariance(), other.mean(), other.covariance());
    const double scale = one.covariance().trace().item<double>();
    EXPECT_NEAR(distance, golden.at("distance").as_double(), tolerance::kFrechet * scale);
    EXPECT_NEAR(distance,
                frechet_distance(other.mean(), other.covariance(), one.mean(), one.covariance()),
                tolerance::kFrechet * scale);
  }
}

TEST(Frechet, StatisticsDoNotDependOnHowTheSetIsCut) {
  const auto x = torch::rand({100, 6}, torch::kDouble) + 1000;  // a mean that would cancel
  const auto one = statistics(x, 1), all = statistics(x, 100);
  EXPECT_EQ(one.count(), 100);
  EXPECT_LT((one.covariance() - torch::cov(x.t())).abs().max().item<double>(),
            tolerance::kFp64Network);
  EXPECT_LT((one.covariance() - all.covariance()).abs().max().item<double>(),
            tolerance::kFp64Network);
}

TEST(Frechet, WhatDoesNotFitIsAnErrorWithGivenAndExpected) {
  FeatureStatistics none;
  EXPECT_ERROR(none.mean(), "feature statistics: no features");
  none.add(torch::zeros({1, 3}));
  EXPECT_ERROR(none.covariance(), "1 feature vectors; expected two or more");
  EXPECT_ERROR(none.add(torch::zeros({2, 4})), "features [2, 4]; expected (N, 3)");
  const auto mean = torch::zeros({3}), covariance = torch::eye(3);
  EXPECT_ERROR(frechet_distance(mean, covariance, torch::zeros({2}), torch::eye(2)),
               "Frechet distance: mean [2]");
  EXPECT_ERROR(frechet_distance(mean, covariance / 0, mean, covariance), "not finite");
}

}  // namespace
}  // namespace halftone::metrics
