#include <ATen/record_function.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <stdexcept>

#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "halftone/numerics/fault_report.h"
#include "halftone/ops/enable.h"
#include "halftone/optim/sgd.h"
#include "halftone/train/callbacks.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"
#include "tests/train/fault_cases.h"
#include "tests/train/rig.h"

namespace halftone {
namespace {

using numerics::FaultKind;
using numerics::FaultReport;

data::Batch fault_batch() {
  torch::manual_seed(5);
  return {torch::randn({6, 8}), torch::zeros({6}, torch::kLong), {0, 1, 2, 3, 4, 5}};
}

// One step of the case; what the trainer found.
FaultReport report_of(const faults::Case& planted) {
  at::set_num_threads(1);
  auto net = std::make_shared<faults::Net>();
  TrainerParts parts;
  parts.policy = Policy::preset(planted.policy);
  if (planted.scale != 1) {
    parts.policy.loss_scale.kind = LossScaling::fixed;
    parts.policy.loss_scale.init = planted.scale;
  }
  halftone::apply(parts.policy, *net);
  parts.module = net;
  parts.forward = [&](const at::Tensor& x) { return planted.forward(*net, x); };
  parts.loss = [&](const at::Tensor& output, const at::Tensor&) {
    return planted.loss ? planted.loss(output) : output.to(torch::kFloat).abs().mean();
  };
  parts.optimizer = std::make_shared<optim::SGD>(net->parameters(), optim::SGDOptions{});
  TrainerOptions options;
  options.handle_signals = false;
  options.explain_overflow = ExplainOverflow::always;
  Trainer trainer(std::move(parts), options);
  try {
    trainer.step(fault_batch());
  } catch (const Error&) {  // a loss that is not finite
  }
  return trainer.last_fault() ? *trainer.last_fault() : FaultReport{};
}

TEST(Fault, EveryPlantedFaultIsNamedExactly) {
  EXPECT_GE(faults::cases().size(), 30u);
  for (const faults::Case& planted : faults::cases()) {
    const FaultReport report = report_of(planted);
    const std::string text = planted.what + "\n" + report.text();
    EXPECT_EQ(report.fault.name, planted.name) << text;
    EXPECT_EQ(report.fault.underflow, planted.underflow) << text;
    EXPECT_EQ(report.replays, 1) << text;
    const bool hinted = std::any_of(
        report.hints.begin(), report.hints.end(),
        [&](const std::string& hint) { return hint.find(planted.hint) != std::string::npos; });
    EXPECT_TRUE(hinted || planted.hint.empty()) << text;
  }
}

// Halftone's loss of half logits casts nothing: it is what overflows.
TEST(Fault, ALossOfHalftonesKernelsIsNamedAsTheOperationThatItIs) {
  const bool was_enabled = enabled();
  enable();
  for (const faults::Case& planted : faults::cases()) {
    if (planted.what != "cross-entropy, backward, overflow by scale") continue;
    const FaultReport report = report_of(planted);
    EXPECT_EQ(report.fault.name, "loss · cross_entropy_backward, gradient of input")
        << report.text();
    ASSERT_FALSE(report.hints.empty());
    EXPECT_NE(report.hints[0].find(planted.hint), std::string::npos) << report.text();
  }
  if (!was_enabled) disable();
}

// Fifty layers of 3x3 convolution, batch norm and ReLU; the 37th has weights with which sums
// overflow fp16.
struct Deep : torch::nn::Module {
  Deep() {
    torch::manual_seed(7);
    for (int i = 0; i < 50; ++i) {
      auto layer = register_module("layer" + std::to_string(i), torch::nn::Sequential());
      layer->push_back("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(4, 4, 3).padding(1)));
      layer->push_back("norm", torch::nn::BatchNorm2d(4));
      layers.push_back(layer);
    }
    fc = register_module("fc", torch::nn::Linear(4, 4));
    const at::NoGradGuard no_grad;
    layers[37]->at<torch::nn::Conv2dImpl>(0).weight.mul_(1.5e5);
  }
  at::Tensor forward(at::Tensor x) {
    for (auto& layer : layers) x = torch::relu(layer->forward(x));
    return fc(x.mean({2, 3}));
  }
  std::vector<torch::nn::Sequential> layers;
  torch::nn::Linear fc{nullptr};
};

TEST(Fault, OverflowInANetworkOfFiftyLayersIsNamedInOneReplay) {
  at::set_num_threads(1);
  auto net = std::make_shared<Deep>();
  TrainerParts parts;
  parts.policy = Policy::preset("fp16");
  halftone::apply(parts.policy, *net);
  parts.module = net;
  parts.forward = [net](const at::Tensor& x) { return net->forward(x); };
  parts.loss = rig::cross_entropy;
  parts.optimizer = std::make_shared<optim::SGD>(net->parameters(), optim::SGDOptions{});
  Trainer trainer(std::move(parts), {});
  torch::manual_seed(1);
  EXPECT_ERROR(trainer.step({torch::randn({4, 4, 8, 8}), torch::zeros({4}, torch::kLong), {1, 2}}),
               "first not finite: layer37.conv.weight · convolution (");
  const FaultReport& report = *trainer.last_fault();
  EXPECT_EQ(report.replays, 1);
  EXPECT_NE(report.hints.at(0).find("[[modules]] match = \"layer37.conv.weight\""),
            std::string::npos)
      << report.text();
}

// A policy with dropout and batch norm, whose gradients overflow at step 3 and 4 of 6.
std::shared_ptr<Trainer> overflowing(ExplainOverflow explain, std::int64_t accumulate,
                                     std::int64_t hysteresis = 1) {
  rig::Setup setup{.policy = "fp16"};
  setup.change = [&](TrainerParts& parts) {
    parts.policy.loss_scale.hysteresis = hysteresis;
    // By the batch's own numbers, so that a replay overflows too.
    parts.loss = [](const at::Tensor& output, const at::Tensor& target) {
      const bool overflows = target[0].item<std::int64_t>() >= 100;
      const at::Tensor loss = rig::cross_entropy(output, target % 100);
      return overflows ? loss + 1e5 * (output - output.detach()).sum() : loss;
    };
  };
  TrainerOptions options;
  options.handle_signals = false;
  options.explain_overflow = explain;
  options.accumulate = accumulate;
  return rig::make_trainer(options, setup);
}

std::vector<FaultReport> run_overflowing(Trainer& trainer, std::int64_t accumulate,
                                         const std::vector<bool>& overflows) {
  const auto loader = rig::make_loader(100, 8, true);
  loader->start_epoch(0);
  std::vector<FaultReport> reports;
  const FaultReport* last = nullptr;
  std::int64_t reported = 0;
  for (const bool overflow : overflows) {
    for (std::int64_t i = 0; i < accumulate; ++i) {
      data::Batch batch = *loader->next();
      if (overflow) batch.target = batch.target + 100;
      trainer.step(batch);
    }
    last = trainer.last_fault();
    if (last && last->step != reported) reports.push_back(*last);
    reported = last ? last->step : 0;
  }
  return reports;
}

TEST(Fault, TrainingAfterAReplayIsThatWithoutBitForBit) {
  for (const std::int64_t accumulate : {1, 2}) {
    const std::vector<bool> overflows{false, true, true, false, true, false};
    auto watched = overflowing(ExplainOverflow::always, accumulate);
    const auto reports = run_overflowing(*watched, accumulate, overflows);
    EXPECT_EQ(reports.size(), 3u);
    for (const FaultReport& report : reports) {
      EXPECT_EQ(report.fault.kind, FaultKind::operation) << report.text();
      EXPECT_EQ(report.micro_batches, accumulate);
      EXPECT_EQ(report.fault.micro_batch, 0);
    }
    const StateDict seen = watched->state_dict();
    auto plain = overflowing(ExplainOverflow::never, accumulate);
    EXPECT_TRUE(run_overflowing(*plain, accumulate, overflows).empty());
    EXPECT_EQ(rig::difference(rig::timeless(seen), rig::timeless(plain->state_dict())), "");
  }
}

TEST(Fault, ExpectedOverflowsOfDynamicScalingAreNotReplayed) {
  const std::vector<bool> overflows{true, false, true, true, true, true, false, true};
  std::vector<std::int64_t> steps;
  auto trainer = overflowing(ExplainOverflow::repeated, 1);
  for (const auto& report : run_overflowing(*trainer, 1, overflows)) steps.push_back(report.step);
  EXPECT_EQ(steps, (std::vector<std::int64_t>{4}));  // the second in a row, and once in it
  steps.clear();
  trainer = overflowing(ExplainOverflow::repeated, 1, /*hysteresis=*/3);
  for (const auto& report : run_overflowing(*trainer, 1, overflows)) steps.push_back(report.step);
  EXPECT_EQ(steps, (std::vector<std::int64_t>{6}));
}

// A forward with a state of its own: NaN once, then noise that the generators don't know of.
TEST(Fault, FaultThatDoesNotComeAgainIsTransient) {
  for (const bool noise : {true, false}) {
    auto calls = std::make_shared<int>(0);
    rig::Setup setup;
    setup.change = [&](TrainerParts& parts) {
      const auto net = std::dynamic_pointer_cast<rig::Net>(parts.module);
      parts.forward = [net, calls, noise](const at::Tensor& x) {
        const int call = (*calls)++;
        const at::Tensor h = torch::relu(net->norm(net->first(x.flatten(1))));
        const double factor = call == 0 ? std::nan("") : noise ? call : 1;
        return net->last(h * factor);
      };
    };
    auto trainer = rig::make_trainer({}, setup);
    const auto loader = rig::make_loader(100, 16, true);
    loader->start_epoch(0);
    EXPECT_ERROR(trainer->step(*loader->next()), noise ? "transient: the same inputs gave other"
                                                       : "transient: 3 replays did not show it");
    const FaultReport& report = *trainer->last_fault();
    EXPECT_EQ(report.fault.kind, FaultKind::transient);
    EXPECT_EQ(report.fault.name, noise ? "after norm.weight · mul" : "");
    EXPECT_EQ(report.replays, 3);
  }
}

// Its first output is NaN, and its second call, the replay's, throws.
std::shared_ptr<Trainer> throwing_in_the_replay(ExplainOverflow explain) {
  rig::Setup setup;
  setup.change = [calls = std::make_shared<int>(0)](TrainerParts& parts) {
    const auto forward = parts.forward;
    parts.forward = [forward, calls](const at::Tensor& x) {
      if (++*calls == 2) throw std::runtime_error("the second time");
      const at::Tensor y = forward(x);
      return *calls == 1 ? y * std::nan("") : y;
    };
  };
  TrainerOptions options;
  options.explain_overflow = explain;
  return rig::make_trainer(options, setup);
}

TEST(Fault, ForwardThatThrowsInTheReplayIsReportedAndLeavesNothingBehind) {
  const auto loader = rig::make_loader(100, 16, true);
  loader->start_epoch(0);
  const data::Batch first = *loader->next(), second = *loader->next();
  auto trainer = throwing_in_the_replay(ExplainOverflow::repeated);
  EXPECT_ERROR(trainer->step(first), "the replay failed: the second time");
  const StateDict seen = trainer->state_dict();
  EXPECT_TRUE(trainer->step(second).applied);
  EXPECT_TRUE(!at::hasCallbacks());
  auto plain = throwing_in_the_replay(ExplainOverflow::never);
  EXPECT_ERROR(plain->step(first), "loss nan");
  EXPECT_EQ(rig::difference(seen, plain->state_dict()), "");
}

TEST(Fault, LossThatGrewBeforeIsCalledDiverged) {
  rig::Setup setup;
  auto factor = std::make_shared<double>(1);
  setup.change = [&](TrainerParts& parts) {
    parts.loss = [factor](const at::Tensor& output, const at::Tensor& target) {
      return rig::cross_entropy(output, target) * *factor;
    };
  };
  auto trainer = rig::make_trainer({}, setup);
  const auto loader = rig::make_loader(200, 16, true);
  loader->start_epoch(0);
  for (int i = 0; i < 5; ++i) {
    trainer->step(*loader->next());
    *factor *= 4;
  }
  *factor = std::numeric_limits<double>::infinity();
  EXPECT_ERROR(trainer->step(*loader->next()), "loss inf");
  const FaultReport& report = *trainer->last_fault();
  EXPECT_EQ(report.trend.steps, 4);
  EXPECT_NE(report.hints.at(0).find("in the 4 steps before"), std::string::npos) << report.text();
}

TEST(Fault, RunTellsItsCallbacksAndTheJsonLog) {
  Scratch scratch;
  struct Listener : Callback {
    void on_fault(const FaultReport& report) override { names.push_back(report.fault.name); }
    void on_step(const StepInfo& step) override { faults_at_step = {step.step, names.size()}; }
    std::vector<std::string> names;
    std::pair<std::int64_t, std::size_t> faults_at_step;
  };
  rig::Setup setup;
  setup.change = [](TrainerParts& parts) {
    parts.loss = [](const at::Tensor& output, const at::Tensor& target) {
      const at::Tensor loss = rig::cross_entropy(output, target);
      return loss.item<float>() < 1.2f ? loss.sub(10).sqrt() : loss;
    };
  };
  TrainerOptions options;
  options.epochs = 20;
  options.handle_signals = false;
  auto trainer = rig::make_trainer(options, setup);
  const auto listener = std::make_shared<Listener>();
  std::ostringstream shown;
  trainer->add_callback(listener);
  trainer->add_callback(std::make_shared<JsonlLog>(scratch / "metrics.jsonl"));
  trainer->add_callback(std::make_shared<ProgressBar>(shown));
  EXPECT_THROW(trainer->run(), Error);
  EXPECT_EQ(listener->names, (std::vector<std::string>{"loss · sqrt"}));
  EXPECT_EQ(listener->faults_at_step.second, 0u);
  std::istringstream lines(read_file(scratch / "metrics.jsonl"));
  std::string line, last;
  while (std::getline(lines, line)) last = line;
  const Json fault = Json::parse(last);
  EXPECT_EQ(fault.at("type").as_string(), "fault");
  EXPECT_EQ(fault.at("name").as_string(), "loss · sqrt");
  EXPECT_EQ(fault.at("step").as_int(), listener->faults_at_step.first + 1);
  EXPECT_EQ(fault.at("inputs").as_array().size(), 1u);
  EXPECT_EQ(fault.at("output").at("nans").as_int(), 1);
  EXPECT_NE(shown.str().find("first not finite: loss · sqrt (fp32)"), std::string::npos);
}

}  // namespace
}  // namespace halftone
