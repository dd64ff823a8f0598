// What [calibrate] measures, and that measuring leaves no trace.
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "halftone/base/error.h"
#include "halftone/precision/autocast.h"
#include "halftone/train/callbacks.h"
#include "halftone/train/evaluation.h"
#include "halftone/train/objective.h"
#include "halftone/train/training_gap.h"
#include "halftone/train/weights.h"
#include "tests/support/test.h"
#include "tests/train/calibration_rig.h"

namespace halftone {
namespace {

using namespace calibration_rig;

// The masters' own loss, by hand, is what the training formats are held against.
TEST(Calibration, HalfWeightsAreHeldAgainstTheirMasters) {
  for (const char* preset : {"bf16-master", "bf16-kahan", "bf16-stochastic"}) {
    SCOPED_TRACE(preset);
    Policy policy = calibrating(preset, {.every = 3, .batches = 3, .loss_bound = 1e6});
    policy.evaluation = Format::fp32;  // of the masters, too
    CalibratedRun run(policy);
    run.steps(3);
    const FormatGap found = run.trainer->last_calibration()->found;
    EXPECT_EQ(found.reference_loss, run.trainer->evaluate().loss);
    EXPECT_NE(found.loss, found.reference_loss);
    policy.calibrate->reference = Format::fp64;
    CalibratedRun exact(policy);
    exact.steps(3);
    const double loss = exact.trainer->last_calibration()->found.reference_loss;
    EXPECT_NE(loss, found.reference_loss);
    EXPECT_NEAR(loss, found.reference_loss, kFp32At1000 * std::abs(loss));
    policy.calibrate->loss_bound = 0.05;
    CalibratedRun raised(policy);
    raised.steps(3);
    ASSERT_FALSE(raised.trainer->precision_switches().empty());
    EXPECT_EQ(raised.trainer->precision_switches()[0].name, "hurt.weight");
    EXPECT_TRUE(c10::isReducedFloatingType(raised.net->hurt->weight.scalar_type()));
  }
}

StateDict without(StateDict state, const char* key) {
  static_cast<void>(state.erase(key));
  return state;
}

TEST(Calibration, WhereNothingMovesTrainingIsTheSameBitForBit) {
  for (const char* preset :
       {"bf16", "fp16", "bf16-master", "bf16-stochastic", "fp8-sim", "fp16-layers"}) {
    SCOPED_TRACE(preset);
    const auto trained = [&](std::optional<CalibrationPolicy> rule) {
      const rig::Setup setup{.policy = preset, .change = [&](TrainerParts& parts) {
                               if (parts.policy.emulation.active()) {
                                 parts.policy.emulation.scaling = EmulationScaling::delayed;
                                 parts.policy.emulation.stochastic_gradients = true;
                                 parts.policy.emulation.exempt_ends = false;
                               }
                               parts.policy.calibrate = rule;
                             }};
      TrainerOptions options = quiet_options();
      options.max_steps = 8;
      options.epochs = 2;
      options.ema_decay = 0.9;
      auto trainer = rig::make_trainer(options, setup);
      trainer->run();
      EXPECT_EQ(trainer->last_calibration() != nullptr, rule.has_value());
      return rig::timeless(without(trainer->state_dict(), "calibrate"));
    };
    EXPECT_EQ(rig::difference(trained(CalibrationPolicy{.every = 1, .loss_bound = 1e6}),
                              trained(std::nullopt)),
              "");
  }
}

// Nor do its measurements, which are made where something moves.
TEST(Calibration, MeasuringSensitivitiesLeavesNoTrace) {
  for (const char* preset : {"bf16", "fp16", "fp16-master", "bf16-stochastic", "fp8-sim"}) {
    SCOPED_TRACE(preset);
    TrainerParts parts;
    const rig::Setup setup{.policy = preset, .change = [&](TrainerParts& given) {
                             if (given.policy.emulation.active()) {
                               given.policy.emulation.scaling = EmulationScaling::delayed;
                               given.policy.emulation.exempt_ends = false;
                             }
                             given.objective = supervised({given.forward, given.loss, {}});
                             parts = given;
                           }};
    const auto trainer = rig::make_trainer(quiet_options(), setup);
    auto source = rig::make_loader(100, 16, true);
    source->start_epoch(0);
    const data::Batch batch = *source->next();
    trainer->step(batch);
    parts.policy.calibrate = CalibrationPolicy{};
    const StateDict before = rig::timeless(trainer->state_dict());
    std::map<std::string, unsigned> versions;
    for (const auto& item : parts.module->named_parameters()) {
      versions[item.key()] = item.value()._version();
    }
    TrainingGap gap({parts, c10::kCPU, named_weights(*parts.module), batch, 1024});
    gap.gap(parts.policy);
    auto operations = gap.raisable(parts.policy);
    ASSERT_EQ(operations.size(), 2u);
    EXPECT_EQ(operations[0].target, (RuleTarget{"first.weight", false}));
    gap.measure(parts.policy, operations);
    for (const RaisableOperation& each : operations) {
      EXPECT_GT(each.error.loss, 0) << each.target.match;
      EXPECT_LT(each.error.gradient, 0.5) << each.target.match;
    }
    EXPECT_EQ(rig::difference(rig::timeless(trainer->state_dict()), before), "");
    for (const auto& item : parts.module->named_parameters()) {
      EXPECT_EQ(item.value()._version(), versions[item.key()]) << item.key();
      EXPECT_FALSE(item.value().grad().defined()) << item.key();
    }
    EXPECT_TRUE(parts.module->is_training());
  }
}

// Each error is that of the operation by itself, whatever rules the others have.
TEST(Calibration, SensitivitiesAreOfOperationsAlone) {
  CalibratedRun run(large_mean_policy());
  run.steps(1);
  TrainerParts parts;
  parts.module = run.net;
  parts.objective = supervised(
      {[&](const at::Tensor& x) { return run.net->forward(x); }, rig::cross_entropy, {}});
  parts.policy = large_mean_policy();
  parts.evaluation = rig::make_loader(40, 16, false);
  run.source->start_epoch(0);
  const data::Batch batch = *run.source->next();
  TrainingGap gap({parts, c10::kCPU, named_weights(*run.net), batch, 1});
  auto operations = gap.raisable(parts.policy);
  gap.measure(parts.policy, operations);
  ASSERT_EQ(operations.size(), 3u);
  const auto error_of = [&](const char* name) {
    const auto found = std::find_if(operations.begin(), operations.end(),
                                    [&](const auto& each) { return each.target.match == name; });
    return found == operations.end() ? NAN : found->error.loss;
  };
  EXPECT_GT(error_of("hurt.weight"), 20 * error_of("first.weight"));
  EXPECT_GT(error_of("hurt.weight"), 20 * error_of("last.weight"));
  parts.policy.modules = {{"hurt", Format::fp32}};
  EXPECT_EQ(gap.raisable(parts.policy).size(), 2u);
}

TEST(Calibration, WhatItCannotBeMadeOfIsRefusedBeforeTheFirstStep) {
  const auto with = [](CalibrationPolicy rule, std::function<void(TrainerParts&)> change) {
    CalibratedRun run(calibrating("bf16", rule), quiet_options(), std::move(change));
  };
  EXPECT_ERROR(with({}, [](TrainerParts& parts) { parts.evaluation = nullptr; }),
               "policy \"bf16\", [calibrate]: no evaluation data; expected held-out batches");
  struct Empty : data::Loader {
    using data::Loader::Loader;
    int64_t batches() const override { return 0; }
  };
  EXPECT_ERROR(with({},
                    [](TrainerParts& parts) {
                      parts.evaluation = std::make_shared<Empty>(std::make_shared<rig::Toy>(16),
                                                                 data::LoaderOptions{.batch = 16});
                    }),
               "no evaluation data");
  struct NoMetrics : Objective {
    at::Tensor loss(const data::Batch& batch) override { return batch.input.mean(); }
    std::vector<metrics::MetricKind> metrics() const override { return {}; }
    std::unique_ptr<Meter> meter() override { return nullptr; }
  };
  EXPECT_ERROR(with({.metric_bound = 0.5},
                    [](TrainerParts& parts) { parts.objective = std::make_shared<NoMetrics>(); }),
               "metric_bound = 0.5 and an objective without metrics; expected loss_bound alone");
}

}  // namespace
}  // namespace halftone
