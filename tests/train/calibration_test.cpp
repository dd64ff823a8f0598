// [calibrate] on networks that train.
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "halftone/precision/autocast.h"
#include "halftone/train/callbacks.h"
#include "halftone/train/evaluation.h"
#include "halftone/train/objective.h"
#include "halftone/train/training_gap.h"
#include "halftone/train/weights.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"
#include "tests/train/rig.h"

namespace halftone {
namespace {

TrainerOptions quiet_options() {
  TrainerOptions options;
  options.handle_signals = false;
  return options;
}

// Of a loss: fp32's step at 1000 is 2^-14, which `last` multiplies by up to 20 / 4 in 16 terms that
// add up at random.
constexpr double kFp32At1000 = 0x1p-14 * 5 * 4;

// `hurt` puts out numbers around `offset`; bf16's step at 1000 is 4, as large as what they tell.
struct LargeMean : torch::nn::Module {
  LargeMean() {
    first = register_module("first", torch::nn::Linear(16, 16));
    hurt = register_module("hurt", torch::nn::Linear(16, 16));
    last = register_module("last", torch::nn::Linear(16, 4));
    const at::NoGradGuard no_grad;
    last->weight.mul_(20);  // so that the loss depends on what `hurt` tells from the start
  }
  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor bias = hurt->bias + offset;
    const at::Tensor y = torch::addmm(bias, torch::relu(first(x.flatten(1))), hurt->weight.t());
    return last(torch::relu(y.to(x.scalar_type()) - offset));
  }
  torch::nn::Linear first{nullptr}, hurt{nullptr}, last{nullptr};
  double offset = 1000;
};

struct CalibratedRun {
  explicit CalibratedRun(const Policy& policy, TrainerOptions options = quiet_options(),
                         std::function<void(TrainerParts&)> change = {}) {
    rig::Setup setup;
    setup.change = [&](TrainerParts& parts) {
      torch::manual_seed(7);
      net = std::make_shared<LargeMean>();
      halftone::apply(policy, *net);
      parts.module = net;
      parts.forward = [net = net](const at::Tensor& input) { return net->forward(input); };
      parts.policy = policy;
      parts.scheduler = nullptr;
      parts.optimizer = rig::make_optimizer(policy, *net);
      if (change) change(parts);
    };
    trainer = rig::make_trainer(options, setup);
    source = rig::make_loader(100, 16, true);
  }
  void steps(int count) {
    for (int i = 0; i < count; ++i) {
      if (source->epoch() < 0 || source->position() == source->batches()) {
        source->start_epoch(source->epoch() + 1);
      }
      trainer->step(*source->next());
    }
  }
  std::shared_ptr<LargeMean> net;
  std::shared_ptr<Trainer> trainer;
  std::shared_ptr<data::Loader> source;
};

Policy calibrating(const std::string& preset, CalibrationPolicy rule) {
  Policy policy = Policy::preset(preset);
  policy.calibrate = rule;
  return policy;
}

Policy large_mean_policy() {
  return calibrating("bf16", {.every = 5, .loss_bound = 0.05, .patience = 2});
}

TEST(Calibration, TheOperationThatItsFormatHurtsIsNamedAndGoesUp) {
  CalibratedRun run(large_mean_policy());
  run.steps(4);
  EXPECT_EQ(run.trainer->last_calibration(), nullptr);
  run.steps(1);
  const CalibrationReport* report = run.trainer->last_calibration();
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->step, 5);
  EXPECT_GT(report->found.loss_gap(), 0.05);
  EXPECT_LT(report->left.loss_gap(), 0.05);
  const auto& moves = run.trainer->precision_switches();
  ASSERT_EQ(moves.size(), 1u) << report->note;
  EXPECT_EQ(moves[0].name, "hurt.weight");
  EXPECT_EQ(moves[0].from, "bf16");
  EXPECT_EQ(moves[0].to, "fp32");
  run.steps(20);
  EXPECT_EQ(run.trainer->precision_switches().size(), 1u);
  EXPECT_LT(run.trainer->last_calibration()->found.loss_gap(), 0.05);
}

// As in fp32, where bf16 alone does not learn.
TEST(Calibration, ItRescuesTheTraining) {
  constexpr int kSteps = 150;
  const auto loss_after = [](const Policy& policy) {
    CalibratedRun run(policy);
    run.steps(kSteps);
    run.trainer->step(*run.source->next());
    const WeightsReplaced same(*run.net, named_weights(*run.net), at::kFloat);
    return run.trainer->evaluate().loss;
  };
  Policy calibrated = large_mean_policy(), plain = Policy::preset("bf16");
  calibrated.evaluation = plain.evaluation = Format::fp32;
  const double fp32 = loss_after(Policy::preset("fp32")), rescued = loss_after(calibrated),
               bf16 = loss_after(plain);
  EXPECT_LT(rescued, 1.25 * fp32);
  EXPECT_GT(bf16, 2 * rescued);
}

TEST(Calibration, WhatIsNoLongerHurtComesDownAgain) {
  CalibratedRun run(large_mean_policy());
  run.steps(5);
  ASSERT_EQ(run.trainer->precision_switches().size(), 1u);
  run.net->offset = 0;
  run.steps(10);
  const auto& moves = run.trainer->precision_switches();
  ASSERT_EQ(moves.size(), 2u);
  EXPECT_EQ(moves[1].name, "hurt.weight");
  EXPECT_EQ(moves[1].from, "fp32");
  EXPECT_EQ(moves[1].to, "bf16");
  EXPECT_EQ(moves[1].step, 15);
  EXPECT_EQ(run.trainer->last_calibration()->raised, 0);
  run.net->offset = 1000;
  run.steps(5);
  ASSERT_EQ(moves.size(), 3u);
  EXPECT_EQ(moves[2].to, "fp32");
}

TEST(Calibration, EmulatedOperationsGoUpToTheComputeFormat) {
  Policy policy = calibrating("bf16", {.every = 3, .loss_bound = 0.05});
  policy.emulation.activations = "int2";
  policy.emulation.exempt_ends = false;
  CalibratedRun run(policy);
  run.net->offset = 0;
  run.steps(3);
  const auto& moves = run.trainer->precision_switches();
  ASSERT_FALSE(moves.empty());
  for (const PrecisionSwitch& each : moves) {
    EXPECT_EQ(each.from, "int2");
    EXPECT_EQ(each.to, "bf16");
    EXPECT_TRUE(each.name.ends_with(".weight")) << each.name;
  }
  EXPECT_LT(run.trainer->last_calibration()->left.loss_gap(), 0.05);
  EXPECT_LT(moves.size(), 3u);
  // The ends, which are not emulated, are not among them.
  policy.emulation.exempt_ends = true;
  policy.calibrate->loss_bound = 1e-4;
  CalibratedRun ends(policy);
  ends.net->offset = 0;
  ends.steps(3);
  for (const PrecisionSwitch& each : ends.trainer->precision_switches()) {
    EXPECT_EQ(each.from, each.name == "hurt.weight" ? "int2" : "bf16") << each.name;
  }
}

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

TEST(Calibration, ResumesBitForBitAmidTheMoves) {
  for (const char* preset : {"bf16", "bf16-master"}) {
    Policy policy = calibrating(preset, {.every = 4, .loss_bound = 0.05, .patience = 2});
    for (int first : {3, 4, 9, 13}) {
      CalibratedRun whole(policy), start(policy), rest(policy);
      const auto train = [&](CalibratedRun& run, int from, int to) {
        for (int step = from; step < to; ++step) {
          run.net->offset = step < 6 ? 1000 : 0;  // comes down after step 12
          run.steps(1);
        }
      };
      train(whole, 0, 2 * first);
      train(start, 0, first);
      rest.trainer->load_state_dict(start.trainer->state_dict());
      rest.source->load_state_dict(start.source->state_dict());
      train(rest, first, 2 * first);
      EXPECT_EQ(rig::difference(rig::timeless(rest.trainer->state_dict()),
                                rig::timeless(whole.trainer->state_dict())),
                "")
          << preset << " " << first;
      EXPECT_EQ(whole.trainer->precision_switches().size(), 2 * first > 12 ? 2u : 1u) << first;
    }
  }
  CalibratedRun plain(Policy::preset("bf16")), calibrated(large_mean_policy());
  EXPECT_ERROR(plain.trainer->load_state_dict(calibrated.trainer->state_dict()), "calibrate");
}

TEST(Calibration, BesideDynamicEachSeesWhatTheOtherHasMoved) {
  Policy policy = calibrating("fp16-dynamic", {.every = 3, .loss_bound = 1e-7});
  policy.dynamic.overflows = 1;
  CalibratedRun run(policy);
  run.net->offset = 1e5;  // beyond fp16
  run.steps(3);
  std::map<std::string, int> moved;
  for (const PrecisionSwitch& each : run.trainer->precision_switches()) ++moved[each.name];
  EXPECT_EQ(moved, (std::map<std::string, int>{
                       {"first.weight", 1}, {"hurt.weight", 1}, {"last.weight", 1}}));
  EXPECT_EQ(run.trainer->precision_switches()[0].name, "hurt.weight");  // by its overflow
  EXPECT_EQ(run.trainer->last_calibration()->raised, 2);
  CalibratedRun again(policy);
  again.trainer->load_state_dict(run.trainer->state_dict());
  again.net->offset = 1e5;
  again.steps(3);
  EXPECT_EQ(again.trainer->skipped_steps(), run.trainer->skipped_steps());
  EXPECT_TRUE(again.trainer->precision_switches().empty());
}

struct CalibrationRecorder : rig::Recorder {
  void on_calibration(const CalibrationReport& report) override {
    told.push_back("calibration " + std::to_string(report.step));
  }
  void on_switch(const PrecisionSwitch& change) override { told.push_back(change.name); }
  std::vector<std::string> told;
};

TEST(Calibration, ARunTellsItsLogs) {
  Scratch scratch;
  TrainerOptions options = quiet_options();
  options.max_steps = 6;
  CalibratedRun run(large_mean_policy(), options);
  const auto recorder = std::make_shared<CalibrationRecorder>();
  std::ostringstream out;
  run.trainer->add_callback(recorder);
  run.trainer->add_callback(std::make_shared<JsonlLog>(scratch.path() / "metrics.jsonl"));
  run.trainer->add_callback(std::make_shared<TensorBoardLog>(scratch.path()));
  run.trainer->add_callback(std::make_shared<ProgressBar>(out));
  run.trainer->run();
  EXPECT_EQ(recorder->told, (std::vector<std::string>{"calibration 5", "hurt.weight"}));
  std::map<std::string, Json> lines;
  std::istringstream log(read_file(scratch.path() / "metrics.jsonl"));
  for (std::string line; std::getline(log, line);) {
    const Json json = Json::parse(line);
    lines[json.at("type").as_string()] = json;
  }
  EXPECT_EQ(lines.at("switch").at("name").as_string(), "hurt.weight");
  const Json& calibration = lines.at("calibration");
  EXPECT_EQ(calibration.at("step").as_int(), 5);
  EXPECT_EQ(calibration.at("raised").as_int(), 1);
  const FormatGap& found = run.trainer->last_calibration()->found;
  EXPECT_EQ(calibration.at("loss").as_double(), found.loss);
  EXPECT_EQ(calibration.at("reference_loss").as_double(), found.reference_loss);
  EXPECT_EQ(calibration.at("reference_accuracy").as_double(), found.reference_metric);
  EXPECT_LT(calibration.at("loss_gap_left").as_double(), 0.05);
  EXPECT_NE(out.str().find("step 5  hurt.weight bf16 -> fp32: the loss is "), std::string::npos)
      << out.str();
  std::string events;
  for (const auto& entry : std::filesystem::directory_iterator(scratch.path())) {
    events += read_file(entry.path());
  }
  for (const char* tag :
       {"precision/hurt.weight", "calibration/loss_gap", "calibration/metric_gap"}) {
    EXPECT_NE(events.find(tag), std::string::npos) << tag;
  }
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
