// Steps over several micro-batches.
#include <cmath>
#include <span>

#include "halftone/train/trainer.h"
#include "tests/support/test.h"
#include "tests/train/rig.h"

namespace halftone {
namespace {

using rig::make_trainer;
using rig::options_of;

// Without dropout and batch norm, two micro-batches of a batch give the batch's gradient.
TEST(Trainer, AccumulationStepsAtTheBoundaryWithTheMeanOfTheMicroBatches) {
  rig::Setup setup;
  setup.change = [](TrainerParts& parts) {
    auto net = std::dynamic_pointer_cast<rig::Net>(parts.module);
    parts.forward = [net](const at::Tensor& input) {
      return net->last(torch::relu(net->first(input.flatten(1))));
    };
  };
  auto accumulating = options_of(1);
  accumulating.accumulate = 2;
  auto halves = make_trainer(accumulating, setup), whole = make_trainer(options_of(1), setup);
  const auto loader = rig::make_loader(96, 32, true);
  loader->start_epoch(0);
  const data::Batch batch = *loader->next();
  const auto part = [&](std::int64_t from) {
    return data::Batch{batch.input.slice(0, from, from + 16),
                       batch.target.slice(0, from, from + 16),
                       {batch.indices.begin() + from, batch.indices.begin() + from + 16}};
  };
  const StepInfo expected = whole->step(batch);
  const StepInfo first = halves->step(part(0));
  EXPECT_TRUE(!first.complete && !first.applied);
  EXPECT_EQ(halves->steps(), 0);
  EXPECT_ERROR(halves->state_dict(),
               "amid a step of several micro-batches; expected between steps");
  const StepInfo second = halves->step(part(16));
  EXPECT_TRUE(second.complete && second.applied);
  EXPECT_EQ(second.samples, 32);
  EXPECT_NEAR(second.loss, expected.loss, 1e-6);
  EXPECT_NEAR(second.grad_norm, expected.grad_norm, 1e-5 * expected.grad_norm);
}

TEST(Trainer, StepOverAGroupIsThatOfItsBatchesOneByOne) {
  auto options = options_of(1);
  options.accumulate = 3;
  auto one_by_one = make_trainer(options), grouped = make_trainer(options_of(1));
  const auto loader = rig::make_loader(96, 16, true);
  loader->start_epoch(0);
  std::vector<data::Batch> group;
  for (int i = 0; i < 3; ++i) group.push_back(*loader->next());
  StepInfo expected;
  torch::manual_seed(4);  // of dropout
  for (const auto& batch : group) expected = one_by_one->step(batch);
  torch::manual_seed(4);
  const StepInfo info = grouped->step(group);
  EXPECT_TRUE(info.complete);
  EXPECT_EQ(info.loss, expected.loss);
  EXPECT_EQ(info.samples, 48);
  EXPECT_EQ(
      rig::difference(grouped->state_dict().at("model"), one_by_one->state_dict().at("model")), "");
  EXPECT_ERROR(grouped->step(std::span<const data::Batch>()), "trainer, step: 0 batches");
  one_by_one->step(group[0]);
  EXPECT_ERROR(one_by_one->step(group), "amid a step of several micro-batches");
}

TEST(Trainer, LastStepOfAnEpochTakesTheMicroBatchesThatAreLeft) {
  auto options = options_of(2);
  options.accumulate = 3;  // 7 batches: 3 + 3 + 1
  auto trainer = make_trainer(options);
  auto recorder = std::make_shared<rig::Recorder>();
  trainer->add_callback(recorder);
  EXPECT_EQ(trainer->run().steps, 6);
  std::vector<std::int64_t> samples;
  for (const StepInfo& step : recorder->steps) samples.push_back(step.samples);
  EXPECT_EQ(samples, (std::vector<std::int64_t>{48, 48, 4, 48, 48, 4}));
  EXPECT_EQ(recorder->starts.at(0).total_steps, 6);
}

}  // namespace
}  // namespace halftone
