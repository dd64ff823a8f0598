#include "halftone/train/trainer.h"

#include <cmath>
#include <limits>

#include "halftone/numerics/range_report.h"
#include "halftone/precision/autocast.h"
#include "halftone/scaling/grad_scaler.h"
#include "halftone/train/weights.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"
#include "tests/train/rig.h"

namespace halftone {
namespace {

using rig::make_trainer;
using rig::options_of;

TEST(Trainer, LearnsInEveryPrecision) {
  for (const char* policy : {"fp32", "bf16", "fp16", "fp16-master", "bf16-master"}) {
    auto trainer = make_trainer(options_of(8), {.policy = policy});
    const TrainResult result = trainer->run();
    EXPECT_EQ(result.steps, 8 * 7) << policy;
    EXPECT_EQ(result.epochs, 8) << policy;
    EXPECT_GT(result.last.metric("accuracy"), 0.9) << policy;
    EXPECT_EQ(result.last.samples, 40) << policy;
  }
}

// The sentence of the design, spelled out.
TEST(Trainer, StepIsForwardUnderAutocastScaledLossBackwardOptimizerScalerScheduler) {
  auto trainer = make_trainer(options_of(1), {.policy = "fp16"});
  torch::manual_seed(11);
  rig::Net net;
  const Policy policy = Policy::preset("fp16");
  halftone::apply(policy, net);
  optim::AdamWOptions adam;
  adam.lr = 0.01;
  optim::AdamW optimizer(net.parameters(), adam);
  optim::CosineLr scheduler(optimizer, 40, 0.1);
  GradScaler scaler(policy.loss_scale);
  torch::manual_seed(0);  // the seed of options_of
  const auto loader = rig::make_loader(100, 16, true);
  loader->start_epoch(0);

  std::vector<data::Batch> batches;
  while (auto batch = loader->next()) batches.push_back(*batch);
  std::vector<double> losses, rates;
  for (const auto& batch : batches) {
    at::Tensor loss;
    {
      const Autocast autocast(policy);
      loss = rig::cross_entropy(net.forward(batch.input), batch.target);
    }
    losses.push_back(loss.item<double>());
    rates.push_back(scheduler.lr());
    scaler.scale(loss).backward();
    if (scaler.step(optimizer).applied) scheduler.step();
    scaler.update();
    optimizer.zero_grad();
  }
  torch::manual_seed(0);
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const StepInfo info = trainer->step(batches[i]);
    EXPECT_EQ(info.loss, losses[i]) << i;
    EXPECT_EQ(info.lr, rates[i]) << i;
    EXPECT_EQ(info.scale, 65536) << i;
    EXPECT_EQ(info.step, static_cast<std::int64_t>(i) + 1);
    EXPECT_TRUE(info.applied && info.complete) << i;
  }
  const auto state = trainer->state_dict().at("model").toGenericDict();
  for (const auto& [name, tensor] : named_weights(net))
    EXPECT_TRUE(torch::equal(state.at(name).toTensor(), tensor)) << name;
}

TEST(Trainer, SkippedStepMovesTheScaleAndNeitherWeightsNorScheduler) {
  rig::Setup setup{.policy = "fp16"};
  setup.change = [](TrainerParts& parts) {
    auto loss = parts.loss;
    parts.loss = [loss](const at::Tensor& output, const at::Tensor& target) {
      const at::Tensor value = loss(output, target);
      // A finite loss whose gradient overflows in fp16 once it is scaled.
      return value + 0 * output.sum() + 1e5 * (output - output.detach()).sum();
    };
  };
  auto trainer = make_trainer(options_of(1), setup);
  const auto loader = rig::make_loader(100, 16, true);
  loader->start_epoch(0);
  const auto before = trainer->state_dict();
  const StepInfo info = trainer->step(*loader->next());
  const auto after = trainer->state_dict();
  EXPECT_TRUE(!info.applied);
  EXPECT_NE(info.first_non_finite.find("first.weight"), std::string::npos) << info.first_non_finite;
  EXPECT_EQ(info.scale, 65536);
  EXPECT_EQ(trainer->loss_scale(), 32768);
  EXPECT_EQ(trainer->skipped_steps(), 1);
  EXPECT_EQ(trainer->steps(), 1);
  EXPECT_EQ(rig::difference(before.at("optimizer"), after.at("optimizer")), "");
  EXPECT_EQ(rig::difference(before.at("scheduler"), after.at("scheduler")), "");
  const auto weights = before.at("model").toGenericDict();
  for (const char* name : {"first.weight", "first.bias", "norm.weight", "last.weight"})
    EXPECT_TRUE(torch::equal(weights.at(name).toTensor(),
                             after.at("model").toGenericDict().at(name).toTensor()))
        << name;
}

TEST(Trainer, NonFiniteLossStopsWithTheStepTheBatchAndTheLearningRate) {
  for (const char* policy : {"fp32", "fp16"}) {
    rig::Setup setup{.policy = policy, .scheduler = false};
    auto calls = std::make_shared<int>(0);
    setup.change = [calls](TrainerParts& parts) {
      parts.loss = [calls](const at::Tensor& output, const at::Tensor& target) {
        const double factor = ++*calls == 3 ? std::numeric_limits<double>::quiet_NaN() : 1;
        return rig::cross_entropy(output, target) * factor;
      };
      parts.evaluation = nullptr;
    };
    auto trainer = make_trainer(options_of(1), setup);
    std::string message;
    try {
      trainer->run();
    } catch (const Error& error) {
      message = error.what();
    }
    const auto loader = rig::make_loader(100, 16, true);
    loader->start_epoch(0, 2);
    std::string indices;
    const data::Batch third = *loader->next();
    for (const auto index : third.indices) indices += std::to_string(index) + ", ";
    EXPECT_EQ(message.rfind("step 3: loss nan (batch indices ", 0), 0u) << message;
    EXPECT_NE(message.find(indices.substr(0, 12)), std::string::npos) << message << indices;
    EXPECT_NE(message.find("learning rate 0.01)"), std::string::npos) << message;
    EXPECT_EQ(trainer->steps(), 2);
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
}

TEST(Trainer, EvaluationUsesThePolicysFormatAndChangesNothing) {
  for (const auto& [preset, format, weight] :
       {std::tuple{"fp16-master", Format::fp32, torch::kFloat},
        {"fp16-master", Format::fp16, torch::kHalf},
        {"fp32", Format::fp64, torch::kDouble},
        {"bf16", Format::fp32, torch::kFloat}}) {
    std::vector<at::ScalarType> seen;
    rig::Setup setup{.policy = preset};
    setup.change = [&, format = format](TrainerParts& parts) {
      parts.policy.evaluation = format;
      auto net = std::dynamic_pointer_cast<rig::Net>(parts.module);
      parts.forward = [net, &seen](const at::Tensor& input) {
        const auto output = net->forward(input);
        if (!net->is_training()) {
          seen.push_back(net->first->weight.scalar_type());
          seen.push_back(output.scalar_type());
        }
        return output;
      };
    };
    auto trainer = make_trainer(options_of(1), setup);
    trainer->run();
    const auto before = trainer->state_dict();
    seen.clear();
    const Evaluation evaluation = trainer->evaluate();
    EXPECT_EQ(rig::difference(before, trainer->state_dict()), "") << preset;
    EXPECT_EQ(evaluation.samples, 40);
    EXPECT_EQ(seen.at(0), weight) << preset;
    EXPECT_EQ(seen.at(1), scalar_type(format)) << preset;
  }
}

TEST(Trainer, EvaluationAndExportUseTheAverageWhereThereIsOne) {
  Scratch scratch;
  auto options = options_of(2);
  options.ema_decay = 0.9;
  auto averaged = make_trainer(options), plain = make_trainer(options_of(2));
  averaged->run();
  torch::manual_seed(options.seed);  // both draw from LibTorch's one generator
  plain->run();
  EXPECT_NE(averaged->evaluate().loss, plain->evaluate().loss);
  averaged->save_weights(scratch / "averaged");
  plain->save_weights(scratch / "plain");
  rig::Net net;
  load_weights(net, scratch / "averaged");
  const auto average =
      averaged->state_dict().at("ema").toGenericDict().at("averages").toGenericDict();
  for (const auto& item : net.named_parameters())
    EXPECT_TRUE(torch::equal(item.value(), average.at(item.key()).toTensor())) << item.key();
  // The training weights themselves are the same with and without an average.
  EXPECT_EQ(rig::difference(averaged->state_dict().at("model"), plain->state_dict().at("model")),
            "");
}

TEST(Trainer, ExportedWeightsAreTheMastersInTheSaveFormat) {
  Scratch scratch;
  auto trainer = make_trainer(options_of(1), {.policy = "bf16-master"});
  trainer->run();
  trainer->save_weights(scratch / "w");
  const auto file = read_safetensors(scratch / "w");
  EXPECT_EQ(file.metadata.at("policy"), "bf16-master");
  const std::map<std::string, at::Tensor> saved(file.tensors.begin(), file.tensors.end());
  const auto half = trainer->state_dict().at("model").toGenericDict().at("first.weight").toTensor();
  EXPECT_EQ(half.scalar_type(), torch::kBFloat16);
  EXPECT_EQ(saved.at("first.weight").scalar_type(), torch::kFloat);
  EXPECT_TRUE(torch::equal(saved.at("first.weight").to(torch::kBFloat16), half));
  EXPECT_TRUE(!torch::equal(saved.at("first.weight"), half.to(torch::kFloat)));
  EXPECT_EQ(saved.at("norm.num_batches_tracked").scalar_type(), torch::kLong);
}

TEST(Trainer, StopsEarlyWhenEvaluationsNoLongerImprove) {
  rig::Setup setup;
  auto evaluations = std::make_shared<int>(0);
  setup.change = [evaluations](TrainerParts& parts) {
    parts.metric = [evaluations](const at::Tensor&, const at::Tensor&) {
      return torch::tensor(*evaluations < 2 ? 0.5 + 0.1 * *evaluations : 0.3);
    };
  };
  auto options = options_of(20);
  options.early_stop_patience = 3;
  auto trainer = make_trainer(options, setup);
  struct Count : Callback {
    std::shared_ptr<int> count;
    void on_evaluation(const Evaluation&) override { ++*count; }
  };
  auto count = std::make_shared<Count>();
  count->count = evaluations;
  trainer->add_callback(count);
  const TrainResult result = trainer->run();
  EXPECT_TRUE(result.stopped_early);
  EXPECT_EQ(result.epochs, 5);      // 0.5, 0.6, then three that are worse
  EXPECT_EQ(result.best.epoch, 1);  // the second
  EXPECT_NEAR(result.best.metric("accuracy"), 0.6, 1e-6);
}

TEST(Trainer, MaxStepsAndEvaluationEverySoManyStepsAreKept) {
  auto options = options_of(5);
  options.max_steps = 10;
  options.eval_every_steps = 4;
  auto trainer = make_trainer(options);
  auto recorder = std::make_shared<rig::Recorder>();
  trainer->add_callback(recorder);
  EXPECT_EQ(trainer->run().steps, 10);
  std::vector<std::int64_t> at;
  for (const auto& each : recorder->evaluations) at.push_back(each.step);
  EXPECT_EQ(at, (std::vector<std::int64_t>{4, 8, 10}));
  EXPECT_EQ(recorder->ends.size(), 1u);
}

TEST(Trainer, AnEvaluationIsInTheEpochOfTheStepBeforeIt) {
  auto options = options_of(3);
  options.max_steps = 17;  // seven steps an epoch: amid it, at its end, and at the run's
  options.eval_every_steps = 1;
  auto trainer = make_trainer(options);
  auto recorder = std::make_shared<rig::Recorder>();
  trainer->add_callback(recorder);
  trainer->run();
  ASSERT_EQ(recorder->evaluations.size(), 17u);
  for (std::size_t i = 0; i < 17; ++i) {
    EXPECT_EQ(recorder->evaluations[i].epoch, recorder->steps[i].epoch) << "step " << i + 1;
  }
}

TEST(Trainer, SeedPinsTheRun) {
  const auto weights = [](std::uint64_t seed) {
    auto options = options_of(1);
    options.seed = seed;
    auto trainer = make_trainer(options);
    trainer->run();
    return trainer->state_dict().at("model");
  };
  EXPECT_EQ(rig::difference(weights(1), weights(1)), "");
  EXPECT_NE(rig::difference(weights(1), weights(2)), "");  // dropout draws differ
}

TEST(Trainer, StepsAnyTorchOptimizer) {
  rig::Setup setup{.policy = "bf16", .scheduler = false};
  setup.change = [](TrainerParts& parts) {
    parts.optimizer = std::make_shared<torch::optim::SGD>(
        parts.module->parameters(), torch::optim::SGDOptions(0.2).momentum(0.9));
  };
  auto trainer = make_trainer(options_of(10), setup);
  EXPECT_GT(trainer->run().last.metric("accuracy"), 0.9);
}

// Also amid a sampled step that could be replayed: the next step is as if there had been none.
TEST(Trainer, ABatchThatDoesNotFitThrowsAndLeavesNothingBehind) {
  TrainerOptions options;
  options.handle_signals = false;
  options.monitor_every = 1;
  const auto disturbed = rig::make_trainer(options, {.policy = "fp16-dynamic"});
  const auto plain = rig::make_trainer(options, {.policy = "fp16-dynamic"});
  for (const auto& trainer : {disturbed, plain}) {
    torch::manual_seed(2);
    const auto loader = rig::make_loader(100, 16, true);
    loader->start_epoch(0);
    if (trainer == disturbed) {
      const data::Batch wrong{.input = torch::rand({2, 1, 5, 5}),
                              .target = torch::zeros({2}, at::kLong),
                              .indices = {0, 1}};
      torch::manual_seed(2);
      EXPECT_THROW(trainer->step(wrong), c10::Error);
    }
    for (int i = 0; i < 3; ++i) trainer->step(*loader->next());
    EXPECT_EQ(trainer->last_ranges()->step, 3);
  }
  EXPECT_EQ(rig::difference(disturbed->state_dict().at("model"), plain->state_dict().at("model")),
            "");
}

struct OneClass final : rig::Toy {
  using Toy::Toy;
  int64_t classes() const override { return 1; }
  int64_t label(int64_t) const override { return 0; }
};

TEST(Trainer, ADataSetWithOneClassIsLearntAndNothingDividesByZero) {
  for (const char* policy : {"fp32", "bf16", "fp16"}) {
    TrainerOptions options;
    options.handle_signals = false;
    options.monitor_every = 2;
    options.epochs = 2;
    const auto trainer = rig::make_trainer(
        options, {.policy = policy, .change = [](TrainerParts& parts) {
                    data::LoaderOptions loader;
                    loader.batch = 16;
                    const auto set = std::make_shared<OneClass>(64);
                    parts.train = std::make_shared<data::Loader>(set, loader);
                    parts.evaluation = std::make_shared<data::Loader>(set, loader);
                  }});
    const TrainResult result = trainer->run();
    EXPECT_TRUE(std::isfinite(result.last.loss)) << policy;
    EXPECT_EQ(result.last.metrics.at(0).value, 1.0) << policy;
  }
}

TEST(Trainer, OptionsThatMakeNoSenseAreUsageErrors) {
  const auto expect = [](auto change, const char* message) {
    TrainerOptions options;
    change(options);
    EXPECT_ERROR(make_trainer(options), message);
  };
  expect([](auto& o) { o.epochs = 0; }, "trainer, epochs: 0; expected 1 or more");
  expect([](auto& o) { o.accumulate = 0; }, "trainer, accumulate: 0");
  expect([](auto& o) { o.max_steps = -1; }, "trainer, max_steps: -1; expected 0 or more");
  expect([](auto& o) { o.ema_decay = 1; }, "trainer, ema_decay: 1");
  rig::Setup setup;
  setup.change = [](TrainerParts& parts) { parts.loss = nullptr; };
  EXPECT_ERROR(make_trainer({}, setup), "no loss");
  setup.change = [](TrainerParts& parts) { parts.train = nullptr; };
  EXPECT_ERROR(make_trainer({}, setup)->run(), "no training loader");
}

}  // namespace
}  // namespace halftone
