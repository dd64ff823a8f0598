#include "halftone/tasks/advise.h"

#include <ATen/Parallel.h>

#include <limits>
#include <sstream>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/tasks/advise_report.h"
#include "halftone/tasks/operation_costs.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"
#include "tests/tasks/striped_images.h"

namespace halftone::tasks {
namespace {

using numerics::HalfCost;
using numerics::OperationCosts;

AdviceArm timed_arm(const Policy& policy, double step_ms, double spread, double error,
                    const metrics::Latency& fp32) {
  AdviceArm arm;
  arm.advice.policy = policy;
  for (const double turn : {-1.0, 0.0, 1.0, -0.5, 0.5}) arm.step_ms.add(step_ms + turn * spread);
  arm.speedup = speedup_of(fp32.count() ? fp32 : arm.step_ms, arm.step_ms);
  arm.error.gradient = error;
  return arm;
}

// fp32 at 100 ms, and the others as given: milliseconds, spread, error.
struct ArmFigures {
  const char* preset;
  double ms, spread, error;
};
std::vector<AdviceArm> timed_arms(const std::vector<ArmFigures>& others) {
  std::vector<AdviceArm> arms{timed_arm(Policy::preset("fp32"), 100, 1, 0, {})};
  for (const ArmFigures& each : others) {
    arms.push_back(
        timed_arm(Policy::preset(each.preset), each.ms, each.spread, each.error, arms[0].step_ms));
  }
  return arms;
}

TEST(Advise, TheFastestPolicyWithinTheBoundIsChosen) {
  EXPECT_EQ(choose_arm(timed_arms({{"bf16", 60, 1, 0.05}, {"fp16", 50, 1, 0.01}}), 0.1), 2u);
  EXPECT_EQ(choose_arm(timed_arms({{"bf16", 60, 1, 0.05}, {"fp16", 50, 1, 0.2}}), 0.1), 1u);
  auto arms = timed_arms({{"bf16", 60, 1, 0.05}, {"fp16", 50, 1, 0.01}});
  arms[2].finite = false;
  EXPECT_EQ(choose_arm(arms, 0.1), 1u);
}

TEST(Advise, NothingThatIsNotFasterThanFp32BeyondNoiseIsProposed) {
  EXPECT_EQ(choose_arm(timed_arms({{"bf16", 120, 1, 0}, {"fp16", 110, 1, 0}}), 0.1), 0u);
  EXPECT_EQ(choose_arm(timed_arms({{"bf16", 99, 0.1, 0}}), 0.1), 0u);  // 1 %
  EXPECT_EQ(choose_arm(timed_arms({{"bf16", 95, 40, 0}}), 0.1), 0u);   // a wide spread
  EXPECT_EQ(choose_arm(timed_arms({{"bf16", 90, 1, 0}}), 0.1), 1u);
}

TEST(Advise, WithinNoiseTheSimplerPolicyIsTaken) {
  EXPECT_EQ(choose_arm(timed_arms({{"bf16", 60, 0.1, 0}, {"bf16-master", 58, 0.1, 0}}), 0.1), 1u);
  EXPECT_EQ(choose_arm(timed_arms({{"bf16", 60, 1, 0}, {"bf16-master", 50, 1, 0}}), 0.1), 2u);
}

TEST(Advise, PoliciesThatAreAsFastAreNamed) {
  TaskAdvice advice;
  advice.max_error = 0.1;
  advice.arms = timed_arms({{"bf16", 60, 0.1, 0},
                            {"fp16", 55, 0.1, 0.2},  // outside the bound
                            {"bf16-kahan", 90, 0.1, 0},
                            {"bf16-master", 58, 0.1, 0}});
  advice.chosen = choose_arm(advice.arms, advice.max_error);
  EXPECT_EQ(advice.arm().name(), "bf16");
  EXPECT_EQ(advice.rivals(), std::vector<std::string>{"bf16-master"});
}

TEST(Advise, StepsOfVeryDifferentTimesAreUnsteady) {
  TaskAdvice advice;
  advice.arms = timed_arms({{"bf16", 60, 10, 0.05}});  // quartiles 10 ms apart
  EXPECT_TRUE(advice.steady());
  advice.arms = timed_arms({{"bf16", 60, 40, 0.05}});
  EXPECT_FALSE(advice.steady());
}

TEST(Advise, SpeedupsAreTakenTurnByTurn) {
  metrics::Latency fp32, half;
  for (const double ms : {10, 20, 40}) {  // batches of different lengths
    fp32.add(ms);
    half.add(ms / 2);
  }
  const auto speedup = speedup_of(fp32, half);
  EXPECT_EQ(speedup.low, 2.0);
  EXPECT_EQ(speedup.high, 2.0);
  EXPECT_TRUE(speedup.faster(1.05) && !speedup.slower(1.05));
  EXPECT_TRUE(!speedup_of(fp32, {}).faster(1.0));
}

OperationCosts made_up_costs(const std::string& parameter, double speedup, double error) {
  OperationCosts costs;
  costs.operation = {.parameter = parameter,
                     .operation = "conv2d",
                     .input = {8, 3, 32, 32},
                     .weight = {16, 3, 3, 3}};
  costs.fp32 = {.forward_ms = 4, .backward_ms = 8};
  HalfCost half;
  half.format = Format::fp16;
  half.time = {.forward_ms = 4 / speedup, .backward_ms = 8 / speedup};
  half.speedup = {speedup, speedup, speedup};
  half.error = {.loss = 0.001, .gradient = error};
  costs.half.push_back(half);
  return costs;
}

// Of three layers one is slower in fp16 and one too inaccurate.
TaskAdvice made_up_advice() {
  TaskAdvice advice;
  advice.config = small_config("fp32");
  advice.machine = numerics::this_machine();
  advice.max_error = 0.1;
  advice.costs = {made_up_costs("a.weight", 2, 0.01), made_up_costs("b.weight", 0.7, 0.01),
                  made_up_costs("c.weight", 2, 0.355)};
  advice.arms = timed_arms({{"fp16", 60, 1, 0.2}});
  for (AdviceArm& arm : advice.arms) {
    arm.advice = numerics::uniform_policy(advice.costs, arm.advice.policy.compute, {});
  }
  AdviceArm mixed = timed_arm(Policy::preset("fp16"), 50, 1, 0.01, advice.arms[0].step_ms);
  mixed.advice = numerics::choose_policy(advice.costs, {.max_error = 0.1, .step_ms = 100});
  mixed.advice.policy.loss_scale.init = 1024;
  advice.arms.push_back(mixed);
  advice.chosen = 2;
  advice.config.policy = mixed.advice.policy;
  advice.reason = "a reason";
  return advice;
}

TEST(AdviseReport, EveryLineOfThePolicyHasItsReasonAndItReadsBackEqual) {
  const TaskAdvice advice = made_up_advice();
  const std::string text = advice_toml(advice);
  EXPECT_EQ(Policy::from_toml(text), advice.config.policy) << text;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.find('=') != std::string::npos) {
      EXPECT_NE(line.find("  # "), std::string::npos) << line;
    }
  }
  for (const char* part :
       {"match = \"b\"", "# fp32: 0.70× in fp16 here", "# fp32: gradient SNR 9 dB in fp16",
        "conv2d 8×3×32×32, 16×3×3×3: 12.0 ms a step in fp32", "init = 1024.0"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
  TaskAdvice masters = advice;
  Policy& policy = masters.config.policy;
  policy.weights = WeightStorage::half_master;
  policy.gradients = Format::fp16;
  EXPECT_EQ(Policy::from_toml(advice_toml(masters)), policy);
  for (const char* preset : {"fp32", "bf16", "fp16", "bf16-master"}) {
    masters.config.policy = Policy::preset(preset);
    EXPECT_EQ(Policy::from_toml(advice_toml(masters)), masters.config.policy) << preset;
  }
}

TEST(AdviseReport, TextAndJsonTellWhatWasMeasured) {
  TaskAdvice advice = made_up_advice();
  const std::string text = advice_text(advice);
  for (const char* part : {"0.70×", "9 dB", "advised-fp16", "a reason"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
  advice.arms[1].error.gradient = std::numeric_limits<double>::infinity();
  const Json json = Json::parse(advice_json(advice).dump());
  const Json& b = json.at("operations").as_array()[1];
  EXPECT_EQ(b.at("name").as_string(), "b.weight");
  EXPECT_EQ(b.at("advice").as_string(), "fp32");
  EXPECT_EQ(b.at("formats").as_array()[0].at("speedup").at("median").as_double(), 0.7);
  EXPECT_EQ(json.at("policies").as_array().size(), 3u);
  EXPECT_TRUE(json.at("policies").as_array()[1].at("gradient_error").is_null());
  EXPECT_EQ(json.at("advised").as_string(), "advised-fp16");
  EXPECT_EQ(Policy::from_toml(json.at("policy").as_string()), advice.config.policy);
}

TEST(Advise, MeasuresTheTasksOwnNetwork) {
  at::set_num_threads(1);  // steps this small only lose by a second thread
  std::vector<std::string> told;
  AdviseOptions options;
  options.progress = [&](const std::string& line) { told.push_back(line); };
  options.keep = {"fc1"};
  const TaskAdvice advice = advise(small_config("fp32"), *striped_images(320), options);
  ASSERT_EQ(advice.costs.size(), 3u);  // of an MLP
  EXPECT_EQ(advice.costs[0].operation.name(), "fc1.weight");
  EXPECT_EQ(advice.costs[0].operation.input, (std::vector<std::int64_t>{32, 784}));
  EXPECT_GT(advice.batch_noise, 0.1);
  EXPECT_GE(advice.arms.size(), 3u);  // fp32, bf16, fp16: steps this short are always measured
  for (const OperationCosts& costs : advice.costs) {
    EXPECT_GT(costs.fp32.forward_ms, 0.0);
    EXPECT_GT(costs.fp32.backward_ms, 0.0);
    for (const HalfCost& half : costs.half) {
      EXPECT_GT(half.time.ms(), 0.0);
      EXPECT_GT(half.error.gradient, 0.0);
      EXPECT_LT(half.error.gradient, 0.1);
    }
  }
  for (const AdviceArm& arm : advice.arms) {
    EXPECT_GE(arm.step_ms.count(), 9u) << arm.name();
    if (arm.advice.policy.compute == Format::fp32) continue;
    EXPECT_EQ(arm.advice.policy.module_format("fc1.weight"), Format::fp32) << arm.name();
    EXPECT_GT(arm.error.gradient, 0.0) << arm.name();
    EXPECT_LT(arm.error.gradient, 0.1) << arm.name();
    EXPECT_NEAR(arm.loss, advice.arms[0].loss, 0.1) << arm.name();
  }
  EXPECT_EQ(advice.config.policy, advice.arm().advice.policy);
  EXPECT_EQ(Policy::from_toml(advice_toml(advice)), advice.config.policy);
  EXPECT_EQ(told.size(), 4u);
}

TEST(Advise, WhatMakesNoSenseIsRefused) {
  const auto data = striped_images(64);
  const RunConfig config = small_config("fp32");
  EXPECT_ERROR(advise(config, *data, {.max_error = 0.0}), "0; expected above 0");
  EXPECT_ERROR(advise(config, *data, {.batches = 1}), "1; expected 2 or more");
  EXPECT_ERROR(advise(config, *data, {.formats = {Format::bf16}, .keep = {"fc9"}}),
               "--keep: \"fc9\"; expected fc1, fc2 or fc3 (did you mean \"fc1\"?)");
  RunConfig large = config;
  large.batch = 65;
  EXPECT_ERROR(advise(large, *data, {}), "at most the 64 training images");
}

}  // namespace
}  // namespace halftone::tasks
