#include "halftone/numerics/operation_timer.h"

#include <torch/torch.h>

#include "halftone/precision/apply.h"
#include "halftone/precision/autocast.h"
#include "tests/support/test.h"

namespace halftone::numerics {
namespace {

// A convolution without bias, a product of activations, a linear layer that is used twice, and a
// normalisation, which no policy lowers.
struct TimedNet : torch::nn::Module {
  TimedNet() {
    conv = register_module(
        "conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 16, 3).padding(1).bias(false)));
    norm = register_module("norm", torch::nn::BatchNorm2d(16));
    head = register_module("head", torch::nn::Linear(64, 64));
  }
  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor maps = torch::relu(norm(conv(x))).flatten(2);   // (N, 16, 64)
    const at::Tensor gram = torch::bmm(maps, maps.transpose(1, 2));  // (N, 16, 16)
    return head(head(torch::relu(maps.sum(1)))) + gram.mean();
  }
  torch::nn::Conv2d conv{nullptr};
  torch::nn::BatchNorm2d norm{nullptr};
  torch::nn::Linear head{nullptr};
};

void timed_step(TimedNet& net, const std::shared_ptr<OperationTimer>& timer, const char* preset) {
  const Policy policy = Policy::preset(preset);
  const at::Tensor x = torch::randn({32, 3, 8, 8});
  timer->begin_step();
  const OperationWatch watch(timer);
  at::Tensor loss;
  {
    const Autocast autocast(policy);
    loss = net.forward(x).square().mean();
  }
  loss.backward();
  watch.rethrow();
}

TEST(OperationTimer, FindsWhatAPolicyLowersInEveryFormatByNameAndShape) {
  for (const char* preset : {"fp32", "bf16", "fp16"}) {
    TimedNet net;
    halftone::apply(Policy::preset(preset), net);
    const auto timer = std::make_shared<OperationTimer>(net);
    timed_step(net, timer, preset);
    const auto& found = timer->operations();
    ASSERT_EQ(found.size(), 3u) << preset;
    EXPECT_EQ(found[0].name(), "conv.weight");
    EXPECT_EQ(found[0].operation, "conv2d");
    EXPECT_EQ(found[0].input, (std::vector<std::int64_t>{32, 3, 8, 8}));
    EXPECT_EQ(found[0].weight, (std::vector<std::int64_t>{16, 3, 3, 3}));
    EXPECT_EQ(found[1].name(), "bmm");
    EXPECT_EQ(found[1].parameter, "");
    EXPECT_EQ(found[2].name(), "head.weight");  // not the bias
    for (const OperationTime& time : timer->times()) {
      EXPECT_GT(time.forward_ms, 0.0) << preset;
      EXPECT_GT(time.backward_ms, 0.0) << preset;
    }
  }
}

TEST(OperationTimer, TimesAreThoseOfTheLastStepAndOfThatOperation) {
  struct Two : torch::nn::Module {
    Two() {
      large = register_module("large", torch::nn::Linear(512, 512));
      small = register_module("small", torch::nn::Linear(512, 2));
    }
    torch::nn::Linear large{nullptr}, small{nullptr};
  } net;
  const auto timer = std::make_shared<OperationTimer>(net);
  const at::Tensor x = torch::randn({256, 512});
  for (int step = 0; step < 2; ++step) {  // the first one sets LibTorch up
    timer->begin_step();
    EXPECT_EQ(timer->times().size(), step == 0 ? 0u : 2u);
    const OperationWatch watch(timer);
    net.small(net.large(x)).sum().backward();
  }
  // 256 times as many operations: forward, and backward without the batch's gradient, which
  // nobody wants.
  const auto& times = timer->times();
  EXPECT_GT(times[0].forward_ms, 2 * times[1].forward_ms);
  EXPECT_GT(times[0].ms(), times[0].forward_ms);
  timer->begin_step();
  for (const OperationTime& time : timer->times()) EXPECT_EQ(time.ms(), 0.0);
}

TEST(OperationTimer, RefusesAModuleWithoutParameters) {
  const torch::nn::Module empty("Empty");
  EXPECT_ERROR(OperationTimer{empty}, "a module without parameters");
}

}  // namespace
}  // namespace halftone::numerics
