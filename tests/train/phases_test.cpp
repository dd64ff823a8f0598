// Steps of several phases: each with a loss and an optimizer of its own, under one scaler.
#include <algorithm>
#include <cmath>

#include "halftone/numerics/fault_report.h"
#include "halftone/numerics/range_report.h"
#include "halftone/optim/adamw.h"
#include "halftone/precision/apply.h"
#include "halftone/precision/autocast.h"
#include "halftone/scaling/grad_scaler.h"
#include "halftone/train/objective.h"
#include "halftone/train/safetensors.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"
#include "tests/train/rig.h"

namespace halftone {
namespace {

using rig::difference;

// A maker of vectors and a judge of them.
struct Pair : torch::nn::Module {
  Pair() {
    maker = register_module("maker", torch::nn::Linear(4, 16));
    judge = register_module("judge", torch::nn::Linear(16, 1));
    norm = register_module("norm", torch::nn::BatchNorm1d(16));
  }
  at::Tensor made(int64_t count) { return norm(maker(torch::randn({count, 4}))); }
  torch::nn::Linear maker{nullptr}, judge{nullptr};
  torch::nn::BatchNorm1d norm{nullptr};
};

struct NoMeter : Meter {
  void add(const data::Batch& batch) override { samples_ += batch.input.size(0); }
  int64_t samples() const override { return samples_; }
  double loss() const override { return 0; }
  std::vector<metrics::MetricValue> values() const override { return {}; }
  int64_t samples_ = 0;
};

// factor: of the maker's loss, by which its gradients leave fp16's range; louder: of what is judged
// there, by which its forward pass does. Counts what it was asked.
struct PairObjective : Objective {
  explicit PairObjective(std::shared_ptr<Pair> given) : pair(std::move(given)) {}
  at::Tensor loss(const data::Batch& batch) override { return phase_loss(batch, 0); }
  int64_t phases() const override { return 2; }
  at::Tensor phase_loss(const data::Batch& batch, int64_t phase) override {
    asked.push_back(phase);
    const auto score = [&](const at::Tensor& x) { return pair->judge(x).to(torch::kFloat); };
    const at::Tensor real = batch.input.flatten(1);
    if (phase == 1) return -score(pair->made(real.size(0)) * louder).mean() * factor;
    return torch::softplus(-score(real)).mean() +
           torch::softplus(score(pair->made(real.size(0)).detach())).mean();
  }
  std::vector<metrics::MetricKind> metrics() const override { return {}; }
  std::unique_ptr<Meter> meter() override { return std::make_unique<NoMeter>(); }
  std::shared_ptr<Pair> pair;
  double factor = 1, louder = 1;
  std::vector<int64_t> asked;
};

std::shared_ptr<optim::AdamW> adam_of(std::vector<at::Tensor> parameters, double lr) {
  optim::AdamWOptions options;
  options.lr = lr;
  return std::make_shared<optim::AdamW>(std::move(parameters), options);
}

struct PairParts {
  explicit PairParts(const std::string& preset) {
    at::set_num_threads(1);
    torch::manual_seed(4);
    pair = std::make_shared<Pair>();
    objective = std::make_shared<PairObjective>(pair);
    parts.policy = Policy::preset(preset);
    parts.policy.loss_scale.growth_interval = 4;
    halftone::apply(parts.policy, *pair);
    parts.module = pair;
    parts.objective = objective;
    parts.optimizer = adam_of(pair->judge->parameters(), 0.02);
    auto made = pair->maker->parameters();
    for (const at::Tensor& each : pair->norm->parameters()) made.push_back(each);
    const auto second = adam_of(made, 0.01);
    parts.later_phases = {{second, std::make_shared<optim::CosineLr>(*second, 30, 0.1)}};
    parts.train = rig::make_loader(100, 16, true);
  }
  std::shared_ptr<Pair> pair;
  std::shared_ptr<PairObjective> objective;
  TrainerParts parts;
};

TrainerOptions pair_options() {
  TrainerOptions options;
  options.seed = 6;
  return options;
}

TEST(TrainerPhases, StepIsTheLoopByHandUnderOneScaler) {
  for (const char* preset : {"fp32", "fp16", "bf16-master", "fp16-master"}) {
    SCOPED_TRACE(preset);
    PairParts by_trainer(preset), by_hand(preset);
    Trainer trainer(by_trainer.parts, pair_options());
    by_trainer.parts.train->start_epoch(0);
    by_hand.parts.train->start_epoch(0);
    std::vector<StepInfo> infos;
    while (const auto batch = by_trainer.parts.train->next()) infos.push_back(trainer.step(*batch));

    torch::manual_seed(6);
    GradScaler scaler(by_hand.parts.policy.loss_scale);
    auto& first = *by_hand.parts.optimizer;
    auto& second = *by_hand.parts.later_phases[0].optimizer;
    by_hand.pair->train();
    for (const StepInfo& info : infos) {
      const auto batch = by_hand.parts.train->next();
      double sum = 0;
      for (int64_t phase = 0; phase < 2; ++phase) {
        at::Tensor loss;
        {
          const Autocast autocast(by_hand.parts.policy);
          loss = by_hand.objective->phase_loss(*batch, phase);
        }
        sum += loss.item<double>();
        scaler.scale(loss).backward();
        const auto result = scaler.step(phase == 0 ? first : second);
        if (phase == 1 && result.applied) by_hand.parts.later_phases[0].scheduler->step();
        first.zero_grad();
        second.zero_grad();
      }
      scaler.update();
      EXPECT_EQ(info.loss, sum);
    }
    EXPECT_EQ(trainer.loss_scale(), scaler.loss_scale());
    for (const auto& item : by_hand.pair->named_parameters()) {
      EXPECT_TRUE(torch::equal(item.value(), by_trainer.pair->named_parameters()[item.key()]))
          << item.key();
    }
    EXPECT_EQ(by_trainer.objective->asked,
              (std::vector<int64_t>{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1}));
  }
}

TEST(TrainerPhases, NotFiniteInOnePhaseSkipsItAloneAndTheScaleFallsOnce) {
  PairParts setup("fp16-master");
  TrainerOptions options = pair_options();
  options.explain_overflow = ExplainOverflow::always;
  Trainer trainer(setup.parts, options);
  setup.parts.train->start_epoch(0);
  trainer.step(*setup.parts.train->next());
  setup.objective->factor = 1e4;  // times the scale: beyond 65504
  const auto judge = setup.pair->judge->weight.clone(), maker = setup.pair->maker->weight.clone();
  const double scale = trainer.loss_scale();
  const StepInfo info = trainer.step(*setup.parts.train->next());
  EXPECT_FALSE(info.applied);
  EXPECT_FALSE(torch::equal(setup.pair->judge->weight, judge));
  EXPECT_TRUE(torch::equal(setup.pair->maker->weight, maker));
  EXPECT_EQ(trainer.loss_scale(), scale / 2);
  EXPECT_EQ(trainer.skipped_steps(), 1);
  EXPECT_TRUE(std::isinf(info.grad_norm));
  ASSERT_NE(trainer.last_fault(), nullptr);  // the second phase was run again, not the first
  EXPECT_NE(trainer.last_fault()->fault.kind, numerics::FaultKind::failed);
  EXPECT_EQ(setup.objective->asked, (std::vector<int64_t>{0, 1, 0, 1, 1}));
}

TEST(TrainerPhases, ALossOfALaterPhaseThatIsNotFiniteLeavesTheUpdatesBeforeIt) {
  PairParts setup("fp16-master");
  Trainer trainer(setup.parts, pair_options());
  setup.parts.train->start_epoch(0);
  trainer.step(*setup.parts.train->next());
  const auto judge = setup.pair->judge->weight.clone(), maker = setup.pair->maker->weight.clone();
  const StateDict before = trainer.state_dict();
  const data::Batch batch = *setup.parts.train->next();
  setup.objective->factor = NAN;
  EXPECT_ERROR(trainer.step(batch), "step 2: loss nan");
  EXPECT_FALSE(torch::equal(setup.pair->judge->weight, judge));
  EXPECT_TRUE(torch::equal(setup.pair->maker->weight, maker));
  const StateDict after = trainer.state_dict();
  for (const char* same : {"scaler", "later_phases", "steps", "skipped"}) {
    EXPECT_EQ(difference(after.at(same), before.at(same)), "") << same;
  }
  // The step that follows is one like any other, its loss its own.
  setup.objective->factor = 1;
  const StepInfo info = trainer.step(batch);
  EXPECT_EQ(info.step, 2);
  EXPECT_TRUE(info.applied);
  EXPECT_TRUE(std::isfinite(info.loss));
  EXPECT_LT(std::abs(info.loss), 10);
}

TEST(TrainerPhases, ALaterPhaseThatOverflowsUnderDynamicSkipsTheStepFromThere) {
  PairParts setup("fp16-dynamic");
  {
    const at::NoGradGuard no_grad;
    setup.pair->judge->weight.fill_(2);
  }
  Trainer trainer(setup.parts, pair_options());
  setup.parts.train->start_epoch(0);
  setup.objective->louder = 2e4;  // in fp16; what the judge makes of it is not
  const auto judge = setup.pair->judge->weight.clone(), maker = setup.pair->maker->weight.clone();
  const StepInfo info = trainer.step(*setup.parts.train->next());
  EXPECT_FALSE(info.applied);
  EXPECT_FALSE(torch::equal(setup.pair->judge->weight, judge));
  EXPECT_TRUE(torch::equal(setup.pair->maker->weight, maker));
  setup.objective->louder = 1;
  EXPECT_TRUE(trainer.step(*setup.parts.train->next()).applied);
  EXPECT_EQ(trainer.skipped_steps(), 1);
}

TEST(TrainerPhases, ExplanationAndSamplesLeaveNoTrace) {
  StateDict states[2] = {make_state_dict(), make_state_dict()};
  for (const bool watched : {false, true}) {
    PairParts setup("fp16-master");
    TrainerOptions options = pair_options();
    options.explain_overflow = watched ? ExplainOverflow::always : ExplainOverflow::never;
    options.monitor_every = watched ? 1 : 0;
    Trainer trainer(setup.parts, options);
    setup.parts.train->start_epoch(0);
    for (int step = 0; step < 6; ++step) {
      setup.objective->factor = step == 2 || step == 4 ? 1e4 : 1;
      trainer.step(*setup.parts.train->next());
    }
    EXPECT_EQ(trainer.skipped_steps(), 2);
    states[watched] = trainer.state_dict();
  }
  EXPECT_EQ(difference(states[0], states[1]), "");
}

TEST(TrainerPhases, SamplesTakeThePhasesInTurns) {
  PairParts setup("bf16-master");
  TrainerOptions options = pair_options();
  options.monitor_every = 1;
  Trainer trainer(setup.parts, options);
  setup.parts.train->start_epoch(0);
  for (const char* moved : {"judge.weight", "maker.weight", "judge.weight"}) {
    trainer.step(*setup.parts.train->next());
    ASSERT_NE(trainer.last_ranges(), nullptr);
    std::vector<std::string> updated;
    for (const auto& tensor : trainer.last_ranges()->tensors) {
      if (tensor.kind == numerics::TensorKind::update) updated.push_back(tensor.name);
    }
    ASSERT_FALSE(updated.empty());
    EXPECT_NE(std::find(updated.begin(), updated.end(), moved), updated.end());
    for (const std::string& name : updated) EXPECT_EQ(name.substr(0, 2) == "ju", moved[0] == 'j');
  }
}

TEST(TrainerPhases, InHalvesAsInOnePiece) {
  const Scratch scratch;
  TrainerOptions options = pair_options();
  options.epochs = 2;
  options.out = scratch / "whole";
  PairParts one("fp16-master");
  Trainer whole(one.parts, options);
  whole.run();
  options.out = scratch / "halves";
  options.max_steps = 5;
  PairParts two("fp16-master");
  Trainer(two.parts, options).run();
  options.max_steps = 0;
  PairParts three("fp16-master");
  Trainer resumed(three.parts, options);
  EXPECT_TRUE(resumed.resume());
  EXPECT_EQ(resumed.steps(), 5);
  resumed.run();
  EXPECT_EQ(difference(resumed.state_dict(), whole.state_dict()), "");
  // The masters of both optimizers are saved.
  resumed.save_weights(scratch / "weights.safetensors");
  for (const auto& [name, tensor] : read_safetensors(scratch / "weights.safetensors").tensors) {
    if (name != "maker.weight" && name != "judge.weight") continue;
    EXPECT_FALSE(torch::equal(tensor, tensor.to(torch::kHalf).to(torch::kFloat))) << name;
  }
}

TEST(TrainerPhases, PartsThatDoNotFitAreErrors) {
  PairParts setup("fp32");
  TrainerParts parts = setup.parts;
  parts.later_phases.clear();
  EXPECT_ERROR(Trainer(parts, {}), "optimizers for 1 phases; expected one for each");
  parts = setup.parts;
  parts.later_phases[0].optimizer = nullptr;
  EXPECT_ERROR(Trainer(parts, {}), "no optimizer of a later phase");
  TrainerOptions options;
  options.accumulate = 2;
  EXPECT_ERROR(Trainer(setup.parts, options), "accumulate: 2; expected 1 where a step has several");
  // A checkpoint of one phase is another's.
  Trainer trainer(setup.parts, {});
  StateDict state = trainer.state_dict();
  EXPECT_EQ(state.erase("later_phases"), 1u);
  EXPECT_ERROR(trainer.load_state_dict(state), "no later_phases");
}

}  // namespace
}  // namespace halftone
