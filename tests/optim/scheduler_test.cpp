#include "halftone/optim/scheduler.h"

#include <torch/torch.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "halftone/optim/scheduler_one_cycle.h"
#include "halftone/optim/scheduler_plateau.h"
#include "halftone/optim/scheduler_warm_up.h"
#include "tests/support/test.h"

namespace halftone::optim {
namespace {

using torch::optim::Optimizer;

constexpr std::int64_t kSteps = 40;

// Two groups with base rates 0.1 and 0.02, as in tests/goldens/schedulers.py.
std::unique_ptr<Optimizer> make_optimizer() {
  std::vector<torch::optim::OptimizerParamGroup> groups;
  for (const double lr : {0.1, 0.02}) {
    groups.emplace_back(std::vector<at::Tensor>{torch::zeros({1}, torch::requires_grad())},
                        std::make_unique<torch::optim::SGDOptions>(lr));
  }
  return std::make_unique<torch::optim::SGD>(groups, torch::optim::SGDOptions(0.5));
}

using Maker = std::shared_ptr<Scheduler> (*)(Optimizer&);

const std::map<std::string, Maker>& makers() {
  using Made = std::shared_ptr<Scheduler>;
  static const std::map<std::string, Maker> all = {
      {"constant", [](Optimizer& o) -> Made { return std::make_shared<ConstantLr>(o); }},
      {"step", [](Optimizer& o) -> Made { return std::make_shared<StepLr>(o, 7, 0.3); }},
      {"multi_step",
       [](Optimizer& o) -> Made {
         return std::make_shared<MultiStepLr>(o, std::vector<std::int64_t>{5, 12, 12, 30}, 0.5);
       }},
      {"exponential",
       [](Optimizer& o) -> Made { return std::make_shared<ExponentialLr>(o, 0.93); }},
      {"cosine", [](Optimizer& o) -> Made { return std::make_shared<CosineLr>(o, kSteps); }},
      {"cosine_min",
       [](Optimizer& o) -> Made { return std::make_shared<CosineLr>(o, kSteps, 0.05); }},
      {"one_cycle",
       [](Optimizer& o) -> Made {
         return std::make_shared<OneCycleLr>(o, OneCycleOptions{.total_steps = kSteps});
       }},
      {"one_cycle_linear",
       [](Optimizer& o) -> Made {
         return std::make_shared<OneCycleLr>(o, OneCycleOptions{.total_steps = kSteps,
                                                                .rise = 0.4,
                                                                .div_factor = 10,
                                                                .final_div_factor = 100,
                                                                .linear = true});
       }},
      {"warm_up_cosine",
       [](Optimizer& o) -> Made {
         return std::make_shared<WarmUpLr>(std::make_shared<CosineLr>(o, kSteps - 8), 8, 0.1);
       }},
      {"warm_up_step",
       [](Optimizer& o) -> Made {
         return std::make_shared<WarmUpLr>(std::make_shared<StepLr>(o, 7, 0.3), 8, 0.1);
       }},
      {"plateau",
       [](Optimizer& o) -> Made {
         return std::make_shared<PlateauLr>(o, PlateauOptions{.factor = 0.5, .patience = 2});
       }},
      {"plateau_max",
       [](Optimizer& o) -> Made {
         return std::make_shared<PlateauLr>(o, PlateauOptions{.maximise = true,
                                                              .factor = 0.25,
                                                              .patience = 1,
                                                              .threshold = 0.05,
                                                              .relative = false,
                                                              .cooldown = 2,
                                                              .min_factor = 0.01});
       }},
      {"warm_up_plateau",  // not in the goldens: torch can't compose them
       [](Optimizer& o) -> Made {
         return std::make_shared<WarmUpLr>(
             std::make_shared<PlateauLr>(o, PlateauOptions{.factor = 0.5, .patience = 1}), 5);
       }},
  };
  return all;
}

// As metric() in schedulers.py.
double metric(std::int64_t step) {
  return 1.0 + 4.0 / static_cast<double>(1 + step) + 0.03125 * static_cast<double>(step * 5 % 7);
}

void advance(Scheduler& scheduler, std::int64_t step) {
  scheduler.step();
  scheduler.observe(metric(step));
}

TEST(Schedulers, FollowPyTorch) {
  std::ifstream file(HALFTONE_SOURCE_DIR "/tests/goldens/schedulers.csv");
  std::size_t lines = 0;
  for (std::string line; std::getline(file, line); ++lines) {
    std::istringstream fields(line);
    std::string name, group_text, value;
    std::getline(fields, name, ',');
    std::getline(fields, group_text, ',');
    const auto group = static_cast<std::size_t>(group_text[0] - '0');
    if (name == "cosine_min" && group == 1) continue;  // torch's minimum is the same for all groups
    SCOPED_TRACE(name + ", group " + group_text);
    const auto optimizer = make_optimizer();
    const auto scheduler = makers().at(name)(*optimizer);
    std::int64_t step = 0;
    for (; std::getline(fields, value, ','); ++step) {
      if (step > 0) advance(*scheduler, step - 1);
      const double expected = std::strtod(value.c_str(), nullptr);
      // fp64 on both sides; torch's are recursions, ours closed formulas.
      EXPECT_NEAR(scheduler->lr(group), expected, 1e-12 * expected + 1e-17) << "step " << step;
    }
    EXPECT_EQ(step, kSteps);
  }
  EXPECT_EQ(lines, 24u);
}

TEST(Schedulers, ResumedEqualsUninterruptedBitForBit) {
  for (const auto& [name, make] : makers()) {
    SCOPED_TRACE(name);
    const auto whole_optimizer = make_optimizer();
    const auto whole = make(*whole_optimizer);
    for (std::int64_t i = 0; i < 13; ++i) advance(*whole, i);
    const auto state = whole->state_dict();
    for (std::int64_t i = 13; i < 30; ++i) advance(*whole, i);

    const auto optimizer = make_optimizer();
    for (auto& group : optimizer->param_groups()) group.options().set_lr(0.7);  // not the base rate
    const auto resumed = make(*optimizer);
    resumed->load_state_dict(state);
    for (std::int64_t i = 13; i < 30; ++i) advance(*resumed, i);
    EXPECT_EQ(resumed->steps(), 30);
    for (const std::size_t group : {0u, 1u}) EXPECT_EQ(resumed->lr(group), whole->lr(group));
  }
}

TEST(Schedulers, StandStillUnlessTold) {
  const auto optimizer = make_optimizer();
  ExponentialLr scheduler(*optimizer, 0.5);
  for (int i = 0; i < 3; ++i)
    optimizer->step();  // as a scaler's skipped steps: step() is not called
  EXPECT_EQ(scheduler.lr(), 0.1);
  scheduler.step();
  EXPECT_EQ(scheduler.lr(), 0.05);
  EXPECT_EQ(scheduler.steps(), 1);
}

TEST(Schedulers, GroupsKeepTheirRatio) {
  for (const auto& [name, make] : makers()) {
    const auto optimizer = make_optimizer();
    const auto scheduler = make(*optimizer);
    for (std::int64_t i = 0; i < 25; ++i) {
      advance(*scheduler, i);
      EXPECT_NEAR(scheduler->lr(1) / scheduler->lr(0), 0.2, 1e-12) << name << ", step " << i;
    }
  }
}

TEST(Schedulers, StayAtTheEndOfTheirCurve) {
  const auto optimizer = make_optimizer();
  const CosineLr cosine(*optimizer, 10, 0.25);
  EXPECT_EQ(cosine.factor(10), 0.25);
  EXPECT_EQ(cosine.factor(1000), 0.25);
  const OneCycleLr cycle(*optimizer, {.total_steps = 10});
  EXPECT_EQ(cycle.factor(9), cycle.factor(1000));
  EXPECT_NEAR(cycle.factor(9), 1 / 25.0 / 1e4, 1e-18);
}

TEST(Schedulers, AOneCycleOfAnyRiseIsFinite) {
  for (const double rise : {0.0, 0.1, 0.2, 1.0}) {
    for (const std::int64_t total : {2, 5, 10}) {
      const auto optimizer = make_optimizer();
      const OneCycleLr cycle(*optimizer, {.total_steps = total, .rise = rise});
      for (std::int64_t step = 0; step <= total; ++step) {
        EXPECT_TRUE(cycle.factor(step) > 0 && cycle.factor(step) <= 1) << rise << " " << step;
      }
    }
  }
}

TEST(Schedulers, WarmUpEndsAtTheFirstRateOfWhatFollows) {
  const auto optimizer = make_optimizer();
  const auto cycle = std::make_shared<OneCycleLr>(*optimizer, OneCycleOptions{.total_steps = 20});
  WarmUpLr scheduler(cycle, 4, 0.5);
  EXPECT_NEAR(scheduler.lr(), 0.1 / 25 * 0.5, 1e-17);
  for (int i = 0; i < 4; ++i) scheduler.step();
  EXPECT_NEAR(scheduler.lr(), 0.1 / 25, 1e-17);
  scheduler.step();
  EXPECT_NEAR(scheduler.lr(), 0.1 * cycle->factor(1), 1e-17);
}

TEST(Schedulers, PlateauTakesNanForNoImprovement) {
  const auto optimizer = make_optimizer();
  PlateauLr scheduler(*optimizer, {.factor = 0.5, .patience = 1});
  for (int i = 0; i < 2; ++i) scheduler.observe(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(scheduler.reductions(), 1);
  EXPECT_EQ(scheduler.lr(), 0.05);
}

TEST(Schedulers, NumbersOutOfRangeAreErrors) {
  const auto o = make_optimizer();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_ERROR(StepLr(*o, 0), "StepLr step_size: 0; expected at least 1");
  EXPECT_ERROR(StepLr(*o, 1, nan), "StepLr gamma: nan; expected a positive number");
  EXPECT_ERROR(MultiStepLr(*o, {5, 3}), "ascending");
  EXPECT_ERROR(ExponentialLr(*o, -0.1), "-0.1");
  EXPECT_ERROR(CosineLr(*o, -3), "CosineLr total_steps: -3");
  EXPECT_ERROR(CosineLr(*o, 3, 1.5), "a number from 0 to 1");
  EXPECT_ERROR(OneCycleLr(*o, {}), "OneCycleLr total_steps: 0; expected at least 2");
  EXPECT_ERROR(PlateauLr(*o, {.factor = 2}), "PlateauLr factor");
  EXPECT_ERROR(WarmUpLr(nullptr, 3), "a null scheduler");
  EXPECT_ERROR(WarmUpLr(std::make_shared<ConstantLr>(*o), 3, 0), "start_factor");
}

TEST(Schedulers, AWrongStateChangesNothing) {
  const auto optimizer = make_optimizer();
  PlateauLr scheduler(*optimizer);
  scheduler.step();
  EXPECT_ERROR(scheduler.load_state_dict(make_state_dict()), "scheduler.steps: no such key");
  auto other = ConstantLr(*optimizer).state_dict();
  EXPECT_ERROR(scheduler.load_state_dict(other), "scheduler.scale: no such key");
  auto state = scheduler.state_dict();
  state.insert_or_assign("steps", int64_t{9});
  state.insert_or_assign("base_lrs", std::vector<double>{1});
  EXPECT_ERROR(scheduler.load_state_dict(state), "1 rates; expected 2");
  EXPECT_EQ(scheduler.steps(), 1);
  EXPECT_EQ(scheduler.lr(), 0.1);
}

}  // namespace
}  // namespace halftone::optim
