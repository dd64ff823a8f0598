#include "halftone/train/dynamic_precision.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "halftone/ops/generator.h"
#include "halftone/precision/apply.h"
#include "halftone/train/callbacks.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"
#include "tests/train/rig.h"

namespace halftone {
namespace {

Policy dynamic_policy() {
  Policy policy = Policy::preset("fp16-dynamic");
  policy.dynamic = {.overflows = 2, .within = 10, .scale_floor = 8, .retry = 20};
  return policy;
}

OperationOverflow overflow_at(std::int64_t step, double scale, bool backward = true) {
  return {step, backward, scale, {{"fc.weight", false}, {"before.weight", false}}};
}

TEST(DynamicPrecision, GoesUpAfterRepeatedOverflowsAndIsTriedAgain) {
  DynamicPrecision dynamic(dynamic_policy());
  EXPECT_FALSE(dynamic.overflowed(overflow_at(1, 16)));  // the scale's own business
  EXPECT_FALSE(dynamic.overflowed(overflow_at(2, 8)));
  EXPECT_FALSE(dynamic.overflowed(overflow_at(13, 4)));  // the first is more than 10 steps ago
  const auto up = dynamic.overflowed(overflow_at(15, 4));
  ASSERT_TRUE(up);
  EXPECT_EQ(up->name, "fc.weight");
  EXPECT_EQ(up->to, "fp32");
  EXPECT_NE(up->reason.find("overflowed 2 times in 10 steps"), std::string::npos) << up->reason;
  EXPECT_EQ(dynamic.moved(), (MovedFormats{{{"fc.weight", false}, Format::fp32}}));
  EXPECT_TRUE(dynamic.stepped(34).empty());
  const auto down = dynamic.stepped(35);
  ASSERT_EQ(down.size(), 1u);
  EXPECT_EQ(down[0].to, "fp16");
  EXPECT_TRUE(dynamic.moved().empty());
}

TEST(DynamicPrecision, OnProbationOneOverflowSendsItBackForTwiceAsLong) {
  DynamicPrecision dynamic(dynamic_policy());
  dynamic.overflowed(overflow_at(1, 1));
  dynamic.overflowed(overflow_at(2, 1));
  ASSERT_EQ(dynamic.stepped(22).size(), 1u);
  EXPECT_FALSE(dynamic.asks(100, 1024));
  EXPECT_TRUE(dynamic.asks(30, 1024));
  ASSERT_TRUE(dynamic.overflowed(overflow_at(30, 1024)));  // at whatever scale
  EXPECT_TRUE(dynamic.stepped(69).empty());
  ASSERT_EQ(dynamic.stepped(70).size(), 1u);
  // Forty steps without one: as if nothing had been.
  EXPECT_TRUE(dynamic.stepped(111).empty());
  EXPECT_FALSE(dynamic.overflowed(overflow_at(112, 1)));
  ASSERT_TRUE(dynamic.overflowed(overflow_at(113, 1)));
  EXPECT_EQ(dynamic.stepped(133).size(), 1u);
}

TEST(DynamicPrecision, WhereTheOperationIsUpTheOneBeforeItFollows) {
  DynamicPrecision dynamic(dynamic_policy());
  for (std::int64_t step : {1, 2, 3}) dynamic.overflowed(overflow_at(step, 1));
  const auto next = dynamic.overflowed(overflow_at(4, 1));
  ASSERT_TRUE(next);
  EXPECT_EQ(next->name, "before.weight");
  EXPECT_FALSE(dynamic.can_help(overflow_at(5, 1)));
  EXPECT_FALSE(dynamic.overflowed(overflow_at(5, 1)));
  // What the policy itself has in fp32 can't go up.
  Policy policy = dynamic_policy();
  policy.modules = {{"*", Format::fp32}};
  EXPECT_FALSE(DynamicPrecision(policy).can_help(overflow_at(1, 1)));
}

TEST(DynamicPrecision, ItsStateReadsBackTheSame) {
  DynamicPrecision dynamic(dynamic_policy());
  for (std::int64_t step : {1, 2, 3}) dynamic.overflowed(overflow_at(step, 1));
  dynamic.overflowed({4, false, 1, {{"bmm", true}}});
  const StateDict state = dynamic.state_dict();
  DynamicPrecision again(dynamic_policy());
  again.load_state_dict(state);
  EXPECT_EQ(rig::difference(again.state_dict(), state), "");
  EXPECT_EQ(again.moved(), dynamic.moved());
  EXPECT_EQ(state.begin()->value().toGenericDict().erase("wait"), 1u);
  EXPECT_THROW(again.load_state_dict(state), Error);
  EXPECT_EQ(again.moved(), dynamic.moved());
}

// Two losses that share nothing but the loss scale. The loud one's gradients, some 10^3 times its
// weights' distance, overflow fp16 from a scale of about 10 on; the quiet one's, some 10^-11,
// underflow at scales up to about 10^3 (2^-25 is what fp16 still rounds to a number).
struct TwoScales : torch::nn::Module {
  TwoScales() {
    torch::manual_seed(3);
    loud = register_module("loud", torch::nn::Linear(8, 8));
    quiet = register_module("quiet", torch::nn::Linear(8, 8));
  }
  static at::Tensor goal(const at::Tensor& x) { return x.flip(1) + 1; }
  at::Tensor quiet_loss(const at::Tensor& x) { return torch::mse_loss(quiet(x), goal(x)); }
  at::Tensor loss(const at::Tensor& x) {
    const at::Tensor a = loud(x), b = quiet(x);  // loud's output is not the last that was made
    return 1e5 * torch::mse_loss(a, goal(x)) + 1e-9 * torch::mse_loss(b, goal(x));
  }
  torch::nn::Linear loud{nullptr}, quiet{nullptr};
};

struct TwoScalesRun {
  explicit TwoScalesRun(Policy policy, std::shared_ptr<Callback> callback = nullptr) {
    at::set_num_threads(1);
    net = std::make_shared<TwoScales>();
    policy.loss_scale.growth_interval = 2;
    halftone::apply(policy, *net);
    TrainerParts parts;
    parts.module = net;
    parts.forward = [net = net](const at::Tensor& x) { return net->loss(x); };
    parts.loss = [](const at::Tensor& loss, const at::Tensor&) { return loss; };
    parts.policy = policy;
    optim::AdamWOptions adam;
    adam.lr = 0.05;
    adam.eps = 1e-20;  // gradients are that small
    adam.weight_decay = 0;
    parts.optimizer = std::make_shared<optim::AdamW>(net->parameters(), adam);
    TrainerOptions options;
    options.handle_signals = false;
    trainer = std::make_unique<Trainer>(std::move(parts), options);
    if (callback) trainer->add_callback(callback);
    batch.input = torch::randn({32, 8});
    batch.target = torch::zeros({32});
    batch.indices.resize(32);
  }
  void steps(int count) {
    for (int i = 0; i < count; ++i) trainer->step(batch);
  }
  double quiet_loss() {
    const at::NoGradGuard no_grad;
    return net->quiet_loss(batch.input).item<double>();
  }
  std::shared_ptr<TwoScales> net;
  std::unique_ptr<Trainer> trainer;
  data::Batch batch;
};

constexpr int kSteps = 160;
constexpr double kLearnt = 0.02;  // of the loss at the start; fp32 reaches 0.001

TEST(DynamicPolicy, OneLossScaleCannotTrainTwoScales) {
  TwoScalesRun fp32(Policy::preset("fp32")), fp16(Policy::preset("fp16"));
  const double before = fp32.quiet_loss();
  fp32.steps(kSteps);
  EXPECT_LT(fp32.quiet_loss(), kLearnt * before);
  const at::Tensor weight = fp16.net->quiet->weight.detach().clone();
  fp16.steps(kSteps / 2);
  EXPECT_LT((fp16.net->quiet->weight.detach() - weight).abs().max().item<double>(), 1e-6);
  EXPECT_GT(fp16.quiet_loss(), 0.9 * before);
}

TEST(DynamicPolicy, AnOperationThatOverflowsGoesToFp32AndTheRestTrains) {
  Policy policy = Policy::preset("fp16-dynamic");
  TwoScalesRun run(policy);
  const double before = run.quiet_loss();
  run.steps(kSteps);
  EXPECT_LT(run.quiet_loss(), kLearnt * before);
  const auto& switches = run.trainer->precision_switches();
  ASSERT_FALSE(switches.empty());
  for (const PrecisionSwitch& each : switches) {
    EXPECT_TRUE(each.name.starts_with("loud.")) << each.name << " " << each.reason;
    EXPECT_EQ(each.to, "fp32");
  }
}

TEST(DynamicPolicy, LayerScalesTrainBothWithoutALossScale) {
  TwoScalesRun run(Policy::preset("fp16-layers"));
  const double before = run.quiet_loss();
  run.steps(kSteps);
  EXPECT_EQ(run.trainer->skipped_steps(), 0);
  EXPECT_LT(run.quiet_loss(), kLearnt * before);
}

TEST(DynamicPolicy, ResumesBitForBitAmidTheSwitches) {
  Policy policy = Policy::preset("fp16-dynamic");
  policy.dynamic.retry = 12;
  bool tried_again = false;
  for (int first : {6, 9, 14, 18, 33}) {
    TwoScalesRun whole(policy), start(policy), rest(policy);
    whole.steps(2 * first);
    start.steps(first);
    rest.trainer->load_state_dict(start.trainer->state_dict());
    rest.steps(first);
    // Before the first switch, between two, and after an operation was tried again.
    tried_again = tried_again || std::any_of(start.trainer->precision_switches().begin(),
                                             start.trainer->precision_switches().end(),
                                             [](const auto& each) { return each.to == "fp16"; });
    EXPECT_FALSE(whole.trainer->precision_switches().empty()) << first;
    EXPECT_EQ(rig::difference(rig::timeless(rest.trainer->state_dict()),
                              rig::timeless(whole.trainer->state_dict())),
              "")
        << first;
  }
  EXPECT_TRUE(tried_again);
  TwoScalesRun plain(Policy::preset("fp16")), dynamic(policy);
  EXPECT_THROW(plain.trainer->load_state_dict(dynamic.trainer->state_dict()), Error);
}

// A forward pass whose fp16 product is beyond 65504: the loss is not finite, whatever its scale.
struct Beyond : torch::nn::Module {
  Beyond() {
    torch::manual_seed(4);
    first = register_module("first", torch::nn::Linear(8, 8));
    last = register_module("last", torch::nn::Linear(8, 8));
  }
  at::Tensor loss(const at::Tensor& x) {
    const at::Tensor y = first(x * 1e5);
    return last(y.to(torch::kFloat) * 1e-5).square().mean();
  }
  torch::nn::Linear first{nullptr}, last{nullptr};
};

Trainer beyond_trainer(const Policy& policy) {
  auto net = std::make_shared<Beyond>();
  halftone::apply(policy, *net);
  TrainerParts parts;
  parts.module = net;
  parts.forward = [net](const at::Tensor& x) { return net->loss(x); };
  parts.loss = [](const at::Tensor& loss, const at::Tensor&) { return loss; };
  parts.policy = policy;
  parts.optimizer = std::make_shared<optim::AdamW>(net->parameters(), optim::AdamWOptions{});
  TrainerOptions options;
  options.handle_signals = false;
  return Trainer(std::move(parts), options);
}

TEST(DynamicPolicy, AForwardPassThatOverflowsSkipsStepsUntilItsOperationIsUp) {
  const data::Batch batch{
      .input = torch::rand({4, 8}), .target = torch::zeros({4}), .indices = {0, 1, 2, 3}};
  Trainer plain = beyond_trainer(Policy::preset("fp16"));
  EXPECT_THROW(plain.step(batch), Error);
  Trainer dynamic = beyond_trainer(Policy::preset("fp16-dynamic"));
  for (int i = 0; i < 2; ++i) {
    const StepInfo lost = dynamic.step(batch);
    EXPECT_FALSE(lost.applied);
    EXPECT_FALSE(std::isfinite(lost.loss));
  }
  ASSERT_EQ(dynamic.precision_switches().size(), 1u);
  EXPECT_EQ(dynamic.precision_switches()[0].name, "first.weight");
  EXPECT_EQ(dynamic.skipped_steps(), 2);
  const StepInfo step = dynamic.step(batch);
  EXPECT_TRUE(step.complete);
  EXPECT_TRUE(std::isfinite(step.loss));
}

struct SwitchRecorder : rig::Recorder {
  void on_switch(const PrecisionSwitch& change) override { switches.push_back(change); }
  std::vector<PrecisionSwitch> switches;
};

// run() tells each once; what was switched before a checkpoint is in force after it.
TEST(DynamicPolicy, ARunTellsOfItsSwitchesAndKeepsThemInItsCheckpoints) {
  Scratch scratch;
  const rig::Setup setup{.policy = "fp16-dynamic", .change = [](TrainerParts& parts) {
                           parts.forward = [forward = parts.forward](const at::Tensor& x) {
                             return forward(x * 1e6);
                           };
                         }};
  TrainerOptions options;
  options.handle_signals = false;
  options.explain_overflow = ExplainOverflow::never;  // dynamic replays all the same
  options.out = scratch.path();
  options.checkpoint_every = 1;
  options.max_steps = 4;
  const auto recorder = std::make_shared<SwitchRecorder>();
  const auto trainer = rig::make_trainer(options, setup);
  trainer->add_callback(recorder);
  EXPECT_EQ(trainer->run().skipped_steps, 2);
  EXPECT_EQ(trainer->last_fault(), nullptr);
  ASSERT_EQ(recorder->switches.size(), 1u);
  EXPECT_EQ(recorder->switches[0].name, "first.weight");
  EXPECT_EQ(recorder->switches[0].step, 2);
  options.max_steps = 6;
  const auto again = rig::make_trainer(options, setup);
  ASSERT_TRUE(again->resume());
  EXPECT_EQ(again->run().skipped_steps, 2);
  EXPECT_TRUE(again->precision_switches().empty());
}

TEST(DynamicPolicy, SwitchesAreInTheLogs) {
  Scratch scratch;
  JsonlLog log(scratch.path() / "metrics.jsonl");
  std::ostringstream out;
  ProgressBar bar(out);
  TensorBoardLog board(scratch.path());
  const PrecisionSwitch change{7, "fc.weight", "fp16", "fp32", "overflowed twice"};
  for (Callback* each : std::initializer_list<Callback*>{&log, &bar, &board}) {
    each->on_start({});
    each->on_switch(change);
  }
  const Json line = Json::parse(read_file(scratch.path() / "metrics.jsonl"));
  EXPECT_EQ(line.at("type").as_string(), "switch");
  EXPECT_EQ(line.at("step").as_int(), 7);
  EXPECT_EQ(line.at("name").as_string(), "fc.weight");
  EXPECT_EQ(line.at("to").as_string(), "fp32");
  EXPECT_EQ(line.at("reason").as_string(), "overflowed twice");
  EXPECT_NE(out.str().find("step 7  fc.weight fp16 -> fp32: overflowed twice"), std::string::npos);
  bool found = false;
  for (const auto& entry : std::filesystem::directory_iterator(scratch.path())) {
    found = found || read_file(entry.path()).find("precision/fc.weight") != std::string::npos;
  }
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace halftone
