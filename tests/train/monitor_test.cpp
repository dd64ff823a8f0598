#include <cmath>
#include <map>
#include <sstream>

#include "halftone/base/json.h"
#include "halftone/base/log.h"
#include "halftone/numerics/numerics_monitor.h"
#include "halftone/optim/sgd.h"
#include "halftone/train/callbacks.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"
#include "tests/train/rig.h"

namespace halftone {
namespace {

using numerics::RangeReport;
using numerics::TensorKind;
using numerics::TensorStatistics;

TrainerOptions sampled(std::int64_t every) {
  TrainerOptions options;
  options.handle_signals = false;
  options.monitor_every = every;
  return options;
}

std::map<std::string, TensorStatistics> by_name(const RangeReport& report, TensorKind kind) {
  std::map<std::string, TensorStatistics> result;
  for (const TensorStatistics& tensor : report.tensors) {
    if (tensor.kind == kind) result[tensor.name] = tensor;
  }
  return result;
}

std::vector<std::string> names_of(const RangeReport& report, TensorKind kind) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : by_name(report, kind)) names.push_back(name);
  return names;
}

TEST(Monitor, SeesLayersAndParametersOfTheStepsThatAreDue) {
  for (const char* policy : {"fp32", "fp16", "fp16-master"}) {
    auto trainer = rig::make_trainer(sampled(3), {.policy = policy});
    const auto loader = rig::make_loader(100, 16, true);
    loader->start_epoch(0);
    for (std::int64_t step = 1; step <= 5; ++step) {
      trainer->step(*loader->next());
      EXPECT_EQ(trainer->last_ranges()->step, step < 4 ? 1 : 4);
    }
    const RangeReport& report = *trainer->last_ranges();
    const std::vector<std::string> layers{"first.weight", "last.weight", "norm.weight"};
    EXPECT_EQ(names_of(report, TensorKind::activation), layers) << policy;
    EXPECT_EQ(names_of(report, TensorKind::activation_grad), layers) << policy;
    const std::vector<std::string> parameters{"first.bias",  "first.weight", "last.bias",
                                              "last.weight", "norm.bias",    "norm.weight"};
    for (TensorKind kind : {TensorKind::weight, TensorKind::weight_grad, TensorKind::update})
      EXPECT_EQ(names_of(report, kind), parameters) << policy;
    const auto activation = by_name(report, TensorKind::activation).at("first.weight");
    EXPECT_EQ(activation.count, 16 * 24);
    EXPECT_EQ(activation.format, std::string(policy) == "fp32" ? "fp32" : "fp16");
  }
}

// The same gradients as fp32's but for rounding, at whatever scale they were held.
TEST(Monitor, LayerScalesAreTakenOutOfGradients) {
  std::map<std::string, TensorStatistics> seen[2];
  for (const bool scaled : {false, true}) {
    auto trainer = rig::make_trainer(
        sampled(1), {.policy = scaled ? "fp16-layers" : "fp32", .change = [](TrainerParts& parts) {
                       parts.loss = [](const at::Tensor& y, const at::Tensor& t) {
                         return 0x1p-20 * rig::cross_entropy(y, t);
                       };
                     }});
    const auto loader = rig::make_loader(100, 16, true);
    loader->start_epoch(0);
    trainer->step(*loader->next());
    seen[scaled] = by_name(*trainer->last_ranges(), TensorKind::activation_grad);
  }
  for (const char* name : {"first.weight", "last.weight"}) {
    const TensorStatistics &fp32 = seen[0].at(name), held = seen[1].at(name);
    EXPECT_EQ(held.format, "fp16") << name;
    EXPECT_GT(held.layer_scale, 0x1p15) << name;
    EXPECT_NEAR(held.amax, fp32.amax, 0.02 * fp32.amax) << name;
    EXPECT_NEAR(held.rms, fp32.rms, 0.02 * fp32.rms) << name;
    const auto largest = [](const TensorStatistics& tensor) {
      for (std::size_t e = 254;; --e) {
        if (tensor.exponents[e]) return e;
      }
    };
    EXPECT_EQ(largest(held), static_cast<std::size_t>(std::ilogb(held.amax) + 127)) << name;
    // As the run holds it, it fits; without the scale most of it would be lost.
    const auto& fp16 = numerics::kCandidateFormats[0];
    EXPECT_LT(held.fit(fp16).underflow, 0.01) << name;
    EXPECT_GT(fp32.fit(fp16).subnormal + fp32.fit(fp16).underflow, 0.9) << name;
    EXPECT_GT(held.headroom(fp16), 14) << name;
    RangeReport report;
    report.tensors = {held};
    const auto again = RangeReport::from_json(report.to_json()).tensors[0];
    EXPECT_EQ(again.layer_scale, held.layer_scale);
    EXPECT_EQ(again.fit(fp16).sqnr_db, held.fit(fp16).sqnr_db);
  }
  EXPECT_EQ(seen[1].at("norm.weight").layer_scale, 1);
}

// Against LibTorch's own numbers, of a step that is taken apart.
TEST(Monitor, NumbersAreThoseOfTheTensors) {
  torch::manual_seed(2);
  torch::nn::Linear layer(6, 5);
  const at::Tensor x = torch::randn({7, 6});
  const auto monitor =
      std::make_shared<numerics::NumericsMonitor>(*layer, numerics::MonitorOptions{});
  EXPECT_TRUE(monitor->due(1) && !monitor->due(2) && monitor->due(101));
  monitor->begin_step(1, 8);
  at::Tensor y;
  {
    const numerics::OperationWatch watch(monitor);
    y = layer(x);
    (y * y).sum().backward();
  }
  monitor->before_update();
  const at::Tensor before = layer->weight.detach().clone();
  optim::SGD(layer->parameters(), optim::SGDOptions{.lr = 0.1}).step();
  monitor->after_update(true);
  const RangeReport report = monitor->take();
  EXPECT_EQ(report.loss_scale, 8.0);
  const auto expect_of = [&](TensorKind kind, const at::Tensor& tensor) {
    const TensorStatistics found = by_name(report, kind).at("weight");
    EXPECT_EQ(found.count, tensor.numel()) << tensor_kind_name(kind);
    EXPECT_NEAR(found.amax, tensor.abs().max().item<double>(), 1e-6) << tensor_kind_name(kind);
    EXPECT_NEAR(found.rms, tensor.square().mean().sqrt().item<double>(), 1e-5)
        << tensor_kind_name(kind);
    std::int64_t counted = 0;
    for (const std::int64_t n : found.exponents) counted += n;
    EXPECT_EQ(counted, found.count);
  };
  expect_of(TensorKind::activation, y.detach());
  expect_of(TensorKind::activation_grad, 2 * y.detach());
  expect_of(TensorKind::weight, before);
  expect_of(TensorKind::weight_grad, layer->weight.grad());
  expect_of(TensorKind::update, layer->weight.detach() - before);
}

TEST(Monitor, ChangesNothingInTraining) {
  for (const char* policy : {"fp16", "bf16-master"}) {
    auto watched = rig::make_trainer(sampled(2), {.policy = policy});
    watched->run();
    const StateDict seen = rig::timeless(watched->state_dict());
    auto plain = rig::make_trainer(sampled(0), {.policy = policy});
    plain->run();
    EXPECT_TRUE(watched->last_ranges() && !plain->last_ranges());
    EXPECT_EQ(rig::difference(seen, rig::timeless(plain->state_dict())), "") << policy;
  }
}

std::vector<std::string>& monitor_warnings() {
  static std::vector<std::string> lines;
  return lines;
}

TEST(Monitor, HalfWeightsThatNeverMoveAreNamedOnce) {
  monitor_warnings().clear();
  const LogSink before = set_log_sink(
      [](std::string_view, std::string_view line) { monitor_warnings().emplace_back(line); });
  rig::Setup setup{.policy = "bf16-master"};
  setup.change = [](TrainerParts& parts) {  // plain SGD on half weights, far below an ulp
    parts.optimizer = std::make_shared<torch::optim::SGD>(parts.module->parameters(),
                                                          torch::optim::SGDOptions(1e-7));
    parts.scheduler = nullptr;
  };
  auto trainer = rig::make_trainer(sampled(1), setup);
  const auto loader = rig::make_loader(100, 16, true);
  loader->start_epoch(0);
  for (int i = 0; i < 6; ++i) trainer->step(*loader->next());
  set_log_sink(before);
  ASSERT_EQ(monitor_warnings().size(), 1u);
  const std::string& line = monitor_warnings()[0];
  EXPECT_NE(line.find("first.weight"), std::string::npos) << line;
  EXPECT_EQ(line.find("norm.weight"), std::string::npos) << line;  // stored in fp32
  const auto updates = by_name(*trainer->last_ranges(), TensorKind::update);
  EXPECT_EQ(updates.at("first.weight").unmoved, 1.0);
  EXPECT_EQ(updates.at("norm.weight").unmoved, -1.0);
}

TEST(Monitor, UpdatesBelowHalfAnUlpAreCountedOnTheMasters) {
  for (const double lr : {1e-9, 0.5}) {
    rig::Setup setup{.policy = "bf16-master", .scheduler = false};
    setup.change = [&](TrainerParts& parts) {
      for (auto& group : parts.optimizer->param_groups()) group.options().set_lr(lr);
    };
    auto trainer = rig::make_trainer(sampled(1), setup);
    const auto loader = rig::make_loader(100, 16, true);
    loader->start_epoch(0);
    trainer->step(*loader->next());
    const auto update = by_name(*trainer->last_ranges(), TensorKind::update).at("first.weight");
    EXPECT_NEAR(update.below_half_ulp, lr < 0.1 ? 1.0 : 0.0, 0.02) << lr;
  }
}

TEST(Monitor, ShapesMayChangeFromStepToStep) {
  torch::nn::Linear layer(4, 4);
  const auto monitor =
      std::make_shared<numerics::NumericsMonitor>(*layer, numerics::MonitorOptions{.every = 1});
  for (std::int64_t rows = 1; rows <= 4; ++rows) {
    monitor->begin_step(rows, 1);
    {
      const numerics::OperationWatch watch(monitor);
      layer(torch::ones({rows, 4})).sum().backward();
      watch.rethrow();
    }
    const auto report = monitor->take();
    EXPECT_EQ(by_name(report, TensorKind::activation).at("weight").count, 4 * rows);
  }
}

TEST(Monitor, BadOptionsAndAModuleWithoutParametersAreRefused) {
  torch::nn::Linear layer(1, 1);
  torch::nn::Module empty("Empty");
  EXPECT_ERROR(numerics::NumericsMonitor(*layer, {.every = 0}), "0; expected 1 or more");
  EXPECT_ERROR(numerics::NumericsMonitor(empty, {}), "without parameters");
  EXPECT_ERROR(rig::make_trainer(sampled(-1)), "-1; expected 0 or more");
}

TEST(Monitor, RunWritesRangesAndHistogramsAndAForwardThatThrowsEndsTheSample) {
  Scratch scratch;
  auto trainer = rig::make_trainer(sampled(5));
  trainer->add_callback(std::make_shared<RangeLog>(scratch / "ranges.jsonl"));
  trainer->add_callback(std::make_shared<TensorBoardLog>(scratch / "events"));
  trainer->run();
  std::istringstream lines(read_file(scratch / "ranges.jsonl"));
  std::vector<std::int64_t> steps;
  for (std::string line; std::getline(lines, line);)
    steps.push_back(RangeReport::from_json(Json::parse(line)).step);
  EXPECT_EQ(steps, (std::vector<std::int64_t>{1, 6}));
  std::string events;
  for (const auto& file : std::filesystem::directory_iterator(scratch / "events"))
    events += read_file(file.path());
  EXPECT_NE(events.find("ranges/activation/first.weight"), std::string::npos);

  rig::Setup setup;
  setup.change = [calls = std::make_shared<int>(0)](TrainerParts& parts) {
    const auto forward = parts.forward;
    parts.forward = [=](const at::Tensor& x) {
      if (++*calls == 1) throw Error("the first time");
      return forward(x);
    };
  };
  auto thrower = rig::make_trainer(sampled(2), setup);
  const auto loader = rig::make_loader(100, 16, true);
  loader->start_epoch(0);
  EXPECT_ERROR(thrower->step(*loader->next()), "the first time");
  EXPECT_TRUE(thrower->last_ranges() == nullptr);
  thrower->step(*loader->next());
  EXPECT_EQ(thrower->last_ranges()->step, 1);
}

}  // namespace
}  // namespace halftone
