#include <signal.h>

#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "halftone/train/callbacks.h"
#include "halftone/train/checkpoint.h"
#include "halftone/train/trainer.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"
#include "tests/train/rig.h"

namespace halftone {
namespace {

using rig::make_trainer;

struct Case {
  const char* policy;
  std::int64_t accumulate;
  double ema;
  bool foreign = false;  // torch::optim's optimizer
  bool emulated = false;
  bool lookahead = false;
};

rig::Setup setup_of(const Case& given) {
  rig::Setup setup{.policy = given.policy, .scheduler = true};
  if (given.foreign) {
    setup.change = [](TrainerParts& parts) {
      parts.optimizer = std::make_shared<torch::optim::AdamW>(parts.module->parameters(),
                                                              torch::optim::AdamWOptions(0.01));
      parts.scheduler = std::make_shared<optim::CosineLr>(*parts.optimizer, 40, 0.1);
    };
  }
  if (given.emulated) {  // with all that it remembers and draws
    setup.change = [](TrainerParts& parts) {
      EmulationPolicy& emulation = parts.policy.emulation;
      emulation = Policy::preset("fp8-sim").emulation;
      emulation.scaling = EmulationScaling::delayed;
      emulation.history = 3;
      emulation.exempt_ends = false;
      emulation.stochastic_gradients = true;
    };
  }
  return setup;
}

TrainerOptions options_of(const Case& given, const std::filesystem::path& out) {
  TrainerOptions options;
  options.epochs = 4;
  options.accumulate = given.accumulate;
  options.ema_decay = given.ema;
  if (given.lookahead) options.lookahead = {.every = 3, .decay = 0.8, .total_steps = 28};
  options.checkpoint_every = 1;
  options.eval_every_steps = 3;
  options.early_stop_patience = 100;
  options.out = out;
  return options;
}

StateDict uninterrupted(const Case& given) {
  auto trainer = make_trainer(options_of(given, {}), setup_of(given));
  trainer->run();
  return rig::timeless(trainer->state_dict());
}

// The process is not killed, its state is: nothing but the files goes over. An exception from a
// callback leaves the run in the middle, as a kill between two system calls would.
void expect_same_after_a_kill_at(const Case& given, std::int64_t step, const StateDict& expected) {
  Scratch scratch;
  auto options = options_of(given, scratch.path());
  options.checkpoint_every = 2;
  {
    auto trainer = make_trainer(options, setup_of(given));
    auto recorder = std::make_shared<rig::Recorder>();
    recorder->at_step = [step](const StepInfo& info) {
      if (info.step == step) throw std::runtime_error("killed");
    };
    trainer->add_callback(recorder);
    try {
      trainer->run();
      FAIL() << "no step " << step;
    } catch (const std::runtime_error&) {
    }
  }
  auto trainer = make_trainer(options, setup_of(given));
  EXPECT_EQ(trainer->resume(), step > 2);
  EXPECT_EQ(trainer->steps(), (step - 1) / 2 * 2);
  trainer->run();
  const StateDict state = rig::timeless(trainer->state_dict());
  if (given.foreign) {  // LibTorch's archive has addresses in it; weights and moments follow it
    state.insert_or_assign("optimizer", 0);
    expected.insert_or_assign("optimizer", 0);
  }
  EXPECT_EQ(rig::difference(state, expected), "")
      << given.policy << " accumulate " << given.accumulate << " killed at " << step;
}

TEST(Resume, EqualsTheUninterruptedRunBitForBit) {
  for (const Case& given :
       {Case{"fp32", 1, 0}, Case{"fp16", 1, 0.9}, Case{"fp16-master", 3, 0}, Case{"bf16", 2, 0.9},
        Case{"bf16-stochastic", 1, 0}, Case{"bf16-kahan", 1, 0}, Case{"fp32", 2, 0, true},
        Case{"fp32", 1, 0, false, true}, Case{"fp16-master", 1, 0, false, false, true}}) {
    const StateDict expected = uninterrupted(given);
    // In the middle of an epoch, at its end (7 batches), before the first checkpoint.
    for (const std::int64_t step : {2, 3, 8}) expect_same_after_a_kill_at(given, step, expected);
  }
}

TEST(Resume, RunsOfNStepsTwiceEqualOneOfTwiceN) {
  const Case given{"fp16", 1, 0.9};
  Scratch once, twice;
  auto options = options_of(given, once.path());
  options.eval_every_steps = 5;
  options.max_steps = 20;
  auto whole = make_trainer(options, setup_of(given));
  whole->run();
  options.out = twice.path();
  options.max_steps = 10;
  make_trainer(options, setup_of(given))->run();
  options.max_steps = 20;
  auto second = make_trainer(options, setup_of(given));
  EXPECT_TRUE(second->resume());
  EXPECT_EQ(second->run().steps, 20);
  EXPECT_EQ(
      rig::difference(rig::timeless(second->state_dict()), rig::timeless(whole->state_dict())), "");
}

TEST(Resume, SignalFinishesTheStepWritesACheckpointAndTheResumedRunEqualsTheUninterrupted) {
  const Case given{"fp16", 2, 0};
  const StateDict expected = uninterrupted(given);
  for (const int signal : {SIGINT, SIGTERM}) {
    for (const std::int64_t at : {4, 6}) {  // at 6 an evaluation is due: it is made up for
      Scratch scratch;
      auto options = options_of(given, scratch.path());
      options.checkpoint_every = 1000;
      {
        auto trainer = make_trainer(options, setup_of(given));
        auto recorder = std::make_shared<rig::Recorder>();
        recorder->at_step = [=](const StepInfo& info) {
          if (info.step == at) ::raise(signal);
        };
        trainer->add_callback(recorder);
        const TrainResult result = trainer->run();
        EXPECT_TRUE(result.interrupted());
        EXPECT_EQ(result.signal, signal);
        EXPECT_EQ(result.steps, at);
        EXPECT_EQ(recorder->checkpoints, std::vector<std::int64_t>{at});
        EXPECT_EQ(recorder->ends.size(), 1u);
      }
      auto trainer = make_trainer(options, setup_of(given));
      EXPECT_TRUE(trainer->resume());
      EXPECT_EQ(trainer->run().signal, 0);
      EXPECT_EQ(rig::difference(rig::timeless(trainer->state_dict()), expected), "") << at;
    }
  }
}

TEST(Resume, CheckpointOfAnotherModelNamesTheFirstThreeMismatchesAndChangesNothing) {
  Scratch scratch;
  const Case given{"fp32", 1, 0};
  make_trainer(options_of(given, scratch.path()), setup_of(given))->run();
  rig::Setup other = setup_of(given);
  other.change = [](TrainerParts& parts) {
    auto net = torch::nn::Sequential(torch::nn::Linear(16, 8), torch::nn::Linear(8, 4));
    parts.module = net.ptr();
    parts.forward = [net](const at::Tensor& input) mutable {
      return net->forward(input.flatten(1));
    };
    parts.optimizer = std::make_shared<optim::AdamW>(net->parameters(), optim::AdamWOptions{});
    parts.scheduler = std::make_shared<optim::CosineLr>(*parts.optimizer, 40, 0.1);
  };
  auto trainer = make_trainer(options_of(given, scratch.path()), other);
  const auto before = trainer->state_dict();
  EXPECT_ERROR(
      trainer->resume(),
      "another model's weights: 0.weight missing (the model's is [8, 16]), 0.bias missing "
      "(the model's is [8]), 1.weight missing (the model's is [4, 8]) and 10 more; expected");
  EXPECT_EQ(rig::difference(before, trainer->state_dict()), "");
}

TEST(Resume, WrongStateChangesNothing) {
  const Case given{"fp16", 1, 0.9};
  Scratch scratch;
  auto trainer = make_trainer(options_of(given, scratch.path()), setup_of(given));
  trainer->run();
  auto other = make_trainer(options_of(given, scratch.path()), setup_of(given))->state_dict();
  const auto before = trainer->state_dict();
  other.insert_or_assign("steps", std::string("many"));
  EXPECT_ERROR(trainer->load_state_dict(other), "trainer state.steps");
  EXPECT_EQ(rig::difference(before, trainer->state_dict()), "");
  other.insert_or_assign("steps", 3);
  EXPECT_EQ(other.erase("ema"), 1u);
  EXPECT_ERROR(trainer->load_state_dict(other), "trainer state: no ema; expected one");
  EXPECT_EQ(rig::difference(before, trainer->state_dict()), "");
}

TEST(Resume, TornCheckpointFallsBackToTheOneBefore) {
  const Case given{"bf16", 1, 0};
  const StateDict expected = uninterrupted(given);
  Scratch scratch;
  auto options = options_of(given, scratch.path());
  options.max_steps = 10;
  make_trainer(options, setup_of(given))->run();
  const auto newest = CheckpointStore(scratch / "checkpoints", 3).list().at(0);
  std::filesystem::resize_file(newest, std::filesystem::file_size(newest) / 2);
  options.max_steps = 0;
  auto trainer = make_trainer(options, setup_of(given));
  EXPECT_TRUE(trainer->resume());
  EXPECT_EQ(trainer->steps(), 9);
  trainer->run();
  EXPECT_EQ(rig::difference(rig::timeless(trainer->state_dict()), expected), "");
}

TEST(Resume, FullDiskStopsTheRunWithTheCheckpointsBeforeIntact) {
  const Case given{"fp32", 1, 0};
  Scratch scratch;
  auto options = options_of(given, scratch.path());
  options.checkpoint_every = 2;
  options.keep_last = 1;
  options.eval_every_steps = 100;
  auto trainer = make_trainer(options, setup_of(given));
  std::unique_ptr<SmallDisk> disk;
  auto recorder = std::make_shared<rig::Recorder>();
  recorder->at_step = [&](const StepInfo& info) {
    if (info.step == 5) disk = std::make_unique<SmallDisk>(1000);
  };
  trainer->add_callback(recorder);
  EXPECT_ERROR(trainer->run(), "step-00000006.pt: cannot write (File too large)");
  disk.reset();
  EXPECT_EQ(scratch.names("checkpoints"), std::vector<std::string>{"step-00000004.pt"});
  auto resumed = make_trainer(options, setup_of(given));
  EXPECT_TRUE(resumed->resume());
  EXPECT_EQ(resumed->steps(), 4);
}

TEST(Resume, RunFromTheStartDoesNotOverwriteTheCheckpointsOfOneBeforeUnlessAsked) {
  const Case given{"fp32", 1, 0};
  Scratch scratch;
  auto options = options_of(given, scratch.path());
  options.max_steps = 4;
  make_trainer(options, setup_of(given))->run();
  options.max_steps = 2;
  EXPECT_ERROR(make_trainer(options, setup_of(given))->run(), "checkpoints of a run before");
  options.overwrite = true;
  make_trainer(options, setup_of(given))->run();
  auto resumed = make_trainer(options, setup_of(given));
  EXPECT_TRUE(resumed->resume());
  EXPECT_EQ(resumed->steps(), 2);
}

TEST(Resume, BestCheckpointSurvivesTheRotation) {
  rig::Setup setup;
  auto evaluations = std::make_shared<int>(0);
  setup.change = [evaluations](TrainerParts& parts) {
    parts.metric = [evaluations](const at::Tensor&, const at::Tensor&) {
      return torch::tensor(++*evaluations <= 3 ? 0.9 : 0.1);  // three batches: the first evaluation
    };
  };
  Scratch scratch;
  TrainerOptions options;
  options.epochs = 5;
  options.keep_last = 2;
  options.out = scratch.path();
  make_trainer(options, setup)->run();
  EXPECT_EQ(scratch.names("checkpoints"),
            (std::vector<std::string>{"best.pt", "step-00000028.pt", "step-00000035.pt"}));
  EXPECT_EQ(read_checkpoint(scratch / "checkpoints" / "best.pt").at("steps").toInt(), 7);
}

TEST(Resume, MetricsOfTheResumedRunAreThoseOfTheUninterrupted) {
  const Case given{"fp32", 1, 0};
  Scratch scratch;
  auto options = options_of(given, scratch.path());
  options.checkpoint_every = 4;
  const auto run = [&](std::int64_t killed_at) {
    auto trainer = make_trainer(options, setup_of(given));
    trainer->resume();
    trainer->add_callback(std::make_shared<JsonlLog>(scratch / "metrics.jsonl"));
    auto recorder = std::make_shared<rig::Recorder>();
    recorder->at_step = [=](const StepInfo& info) {
      if (info.step == killed_at) throw std::runtime_error("killed");
    };
    trainer->add_callback(recorder);
    try {
      trainer->run();
    } catch (const std::runtime_error&) {
    }
  };
  for (const int killed_at : {7, 15, 0}) run(killed_at);
  std::istringstream text(read_file(scratch / "metrics.jsonl"));
  std::vector<std::int64_t> steps, evaluations;
  for (std::string line; std::getline(text, line);) {
    const Json json = Json::parse(line);
    (json.at("type").as_string() == "step" ? steps : evaluations)
        .push_back(json.at("step").as_int());
  }
  std::vector<std::int64_t> all(28);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i) + 1;
  EXPECT_EQ(steps, all);
  EXPECT_EQ(evaluations, (std::vector<std::int64_t>{3, 6, 9, 12, 15, 18, 21, 24, 27, 28}));
}

}  // namespace
}  // namespace halftone
