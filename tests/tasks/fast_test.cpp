#include <ATen/Functions.h>

#include <cmath>

#include "halftone/models/fast_net.h"
#include "halftone/optim/group_options.h"
#include "halftone/tasks/fast_learner.h"
#include "halftone/tasks/image_task.h"
#include "halftone/tasks/saved_run.h"
#include "halftone/tasks/train_run.h"
#include "halftone/train/weights.h"
#include "tests/support/scratch.h"
#include "tests/support/tolerances.h"
#include "tests/tasks/task_rig.h"

namespace halftone::tasks {
namespace {

// Noise in a colour that tells the class.
std::shared_ptr<const TaskData> coloured_images(std::int64_t count) {
  const at::Tensor images = at::randint(0, 120, {count, 3, 32, 32}, at::kByte);
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < count; ++i) {
    labels.push_back(i % 10);
    images[i][i % 3].add_(20 + 10 * (i % 10));
  }
  const auto& task = dynamic_cast<const ImageTask&>(cifar10_task());
  auto set = std::make_shared<data::MemoryDataset>(images, labels, task.class_names());
  return image_data(task, {set, set});
}

RunConfig fast_config(const char* preset) {
  RunConfig config = task_config("cifar10", preset, "fast");
  config.batch = 10;
  return config;
}

TEST(FastTask, LearnsInEveryPrecision) {
  const auto data = coloured_images(20);
  for (const char* preset : {"fp32", "bf16", "bf16-master", "fp16-master"}) {
    expect_learns(fast_config(preset), *data, 0.8);
  }
}

// Decoupled: rate times decay is the same for all parameters.
TEST(FastTask, NormBiasesLearnFasterAndDecayAlike) {
  const auto data = coloured_images(10);
  const Session session = make_session(fast_config("fp32"), *data);
  const auto optimizer =
      make_optimizer(fast_defaults().recipe, *session.learner->module(), fast_config("fp32"));
  const auto options = [&](std::size_t group) {
    return dynamic_cast<const optim::GroupOptionsBase&>(
               optimizer->param_groups().at(group).options())
        .common();
  };
  ASSERT_EQ(optimizer->param_groups().size(), 2u);
  EXPECT_EQ(optimizer->param_groups()[0].params().size(), 8u);  // 6 convolutions, fc, whiten.bias
  EXPECT_EQ(optimizer->param_groups()[1].params().size(), 6u);
  EXPECT_NEAR(options(0).lr, 1.5, 1e-12);
  EXPECT_NEAR(options(1).lr, 96, 1e-9);
  EXPECT_NEAR(options(1).lr * options(1).weight_decay, options(0).lr * options(0).weight_decay,
              1e-12);
}

TEST(FastTask, WhitensByTheDataAndFreezesTheBiasAfterThreeEpochs) {
  const auto data = coloured_images(10);
  RunConfig config = fast_config("fp32");
  config.steps = 0;
  config.epochs = 5;  // of one step each
  Session session = make_session(config, *data);
  const auto weights = session.learner->module()->named_parameters();
  const at::Tensor whitening = weights["whiten.weight"].clone();
  EXPECT_FALSE(
      whitening.equal(models::make_network({.name = "fast"})->named_parameters()["whiten.weight"]));
  struct Watch : Callback {
    at::Tensor bias;
    std::vector<at::Tensor> seen;
    void on_step(const StepInfo&) override { seen.push_back(bias.detach().clone()); }
  };
  const auto watch = std::make_shared<Watch>();
  watch->bias = weights["whiten.bias"];
  session.trainer->add_callback(watch);
  session.trainer->run();
  ASSERT_EQ(watch->seen.size(), 5u);
  EXPECT_FALSE(watch->seen[1].equal(watch->seen[2]));
  EXPECT_TRUE(watch->seen[2].equal(watch->seen[3]));
  EXPECT_TRUE(weights["whiten.weight"].equal(whitening));
}

TEST(FastTask, AResumedRunEqualsAnUninterruptedOne) {
  const auto data = coloured_images(20);
  RunConfig config = fast_config("bf16-master");
  config.steps = 0;
  config.epochs = 4;
  config.checkpoint_every = 1;
  const Scratch whole, parts;
  train_run(config, *data, {.out = whole.path(), .callbacks = {}});
  struct Killer : Callback {
    void on_step(const StepInfo& info) override {
      if (info.step == 7) throw Error("killed");
    }
  };
  EXPECT_ERROR(
      train_run(config, *data, {.out = parts.path(), .callbacks = {std::make_shared<Killer>()}}),
      "killed");
  train_run(config, *data, {.out = parts.path(), .resume = true, .callbacks = {}});
  const auto expected = named_weights(*load_run(whole.path()).learner->module());
  const auto found = named_weights(*load_run(parts.path()).learner->module());
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_TRUE(found[i].second.equal(expected[i].second)) << found[i].first;
  }
}

TEST(FastTask, ASavedRunKeepsItsWhiteningAndIsJudgedBySixViews) {
  const auto data = coloured_images(20);
  for (const char* preset : {"fp32", "bf16-master"}) {
    const Scratch out;
    const TrainResult result =
        train_run(fast_config(preset), *data, {.out = out.path(), .callbacks = {}});
    SavedRun run = load_run(out.path());
    const EvaluationReport report = evaluate_run(run, *data);
    EXPECT_NEAR(report.evaluation.loss, result.last.loss, 1e-6) << preset;
    EXPECT_EQ(report.evaluation.metric("accuracy"), result.last.metric("accuracy"));
  }
}

TEST(FastTask, LogitsAreTheWeightedMeanOverViews) {
  const auto data = coloured_images(10);
  const Session session = make_session(fast_config("fp32"), *data);
  auto& learner = dynamic_cast<FastLearner&>(*session.learner);
  const auto net = std::dynamic_pointer_cast<models::FastNet>(learner.module());
  net->eval();
  const at::NoGradGuard no_grad;
  const at::Tensor x = at::randn({2, 3, 32, 32});
  const at::Tensor padded = at::reflection_pad2d(x, {1, 1, 1, 1});
  at::Tensor expected = at::zeros({2, 10});
  for (const bool mirrored : {false, true}) {
    const auto view = [&](const at::Tensor& image) {
      return net->forward(mirrored ? image.flip({3}) : image);
    };
    const auto corner = [&](std::int64_t at) {
      return view(padded.narrow(2, at, 32).narrow(3, at, 32));
    };
    expected += view(x) / 4 + corner(0) / 8 + corner(2) / 8;
  }
  EXPECT_TRUE(learner.logits(x).allclose(expected, tolerance::kFp32, tolerance::kFp32));
  learner.begin_epoch(0, /*last=*/false);
  EXPECT_TRUE(learner.logits(x).equal(net->forward(x)));
}

}  // namespace
}  // namespace halftone::tasks
