// CartPole and Acrobot against Gymnasium (tests/goldens/environments.py).
#include "halftone/data/environment.h"

#include <cmath>
#include <vector>

#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::data {
namespace {

std::vector<double> doubles(const Json& list) {
  std::vector<double> values;
  for (const Json& each : list.as_array()) values.push_back(each.as_double());
  return values;
}

void expect_near(const std::vector<double>& given, const std::vector<double>& expected,
                 double relative) {
  ASSERT_EQ(given.size(), expected.size());
  for (size_t i = 0; i < given.size(); ++i) {
    EXPECT_NEAR(given[i], expected[i], relative * std::max(1.0, std::abs(expected[i]))) << i;
  }
}

// Each kept step from the state that Gymnasium had before it: errors do not grow along.
void expect_steps(const Environment& environment, const Json& golden) {
  const std::string actions = golden.at("actions").as_string();
  for (size_t t = 0; t < actions.size(); ++t) {
    const Json* kept = golden.at("steps").find(std::to_string(t));
    const Json* before = t ? golden.at("steps").find(std::to_string(t - 1)) : nullptr;
    if (!kept || (t && !before)) continue;
    SCOPED_TRACE(t);
    auto state = doubles(before ? before->at("state") : golden.at("first"));
    const Outcome outcome = environment.step(state, actions[t] - '0');
    expect_near(state, doubles(kept->at("state")), tolerance::kEnvironmentStep);
    EXPECT_EQ(outcome.reward, kept->at("reward").as_double());
    std::vector<float> seen(static_cast<size_t>(environment.observation_size()));
    environment.observe(state, seen);
    expect_near({seen.begin(), seen.end()}, doubles(kept->at("observation")), tolerance::kFp32Unit);
  }
}

// The episode as a whole, from its first state alone: as long, of the same return, with the same
// end.
void expect_episode(const Environment& environment, const Json& golden) {
  const std::string actions = golden.at("actions").as_string();
  auto state = doubles(golden.at("first"));
  double total = 0;
  for (size_t t = 0; t < actions.size(); ++t) {
    const Outcome outcome = environment.step(state, actions[t] - '0');
    total += outcome.reward;
    const bool last = t + 1 == actions.size();
    EXPECT_EQ(outcome.terminated, last && golden.at("terminated").as_bool()) << "step " << t;
  }
  EXPECT_EQ(total, golden.at("total").as_double());
  EXPECT_EQ(static_cast<int64_t>(actions.size()) == environment.step_limit(),
            golden.at("truncated").as_bool());
}

TEST(Environments, EveryStepIsGymnasiums) {
  const std::string name = "environments.json";
  const Json golden = Json::parse(read_file(HALFTONE_SOURCE_DIR "/tests/goldens/" + name), name);
  int episodes = 0;
  for (const Environment* environment : {&cart_pole(), &acrobot()}) {
    for (const auto& [rule, episode] : golden.at(environment->name()).as_object()) {
      SCOPED_TRACE(environment->name() + ", " + rule);
      expect_steps(*environment, episode);
      expect_episode(*environment, episode);
      ++episodes;
    }
  }
  EXPECT_EQ(episodes, 7);
}

TEST(Environments, EpisodesBeginWithinGymnasiumsBounds) {
  for (const auto& [environment, bound] :
       {std::pair{&cart_pole(), 0.05}, std::pair{&acrobot(), 0.1}}) {
    CounterRng random(7);
    double least = 1, most = -1;
    std::vector<double> state(static_cast<size_t>(environment->state_size()));
    for (int i = 0; i < 500; ++i) {
      environment->begin(random, state);
      for (const double each : state) {
        least = std::min(least, each);
        most = std::max(most, each);
      }
    }
    EXPECT_GE(least, -bound * (1 + tolerance::kFp32Unit));
    EXPECT_LE(most, bound * (1 + tolerance::kFp32Unit));
    EXPECT_LT(least, -0.99 * bound);  // of 2000 uniform draws
    EXPECT_GT(most, 0.99 * bound);
  }
}

}  // namespace
}  // namespace halftone::data
