#include "halftone/optim/lookahead.h"

#include <torch/torch.h>

#include <cmath>

#include "halftone/optim/sgd.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::optim {
namespace {

struct PulledNet : torch::nn::Module {
  PulledNet() {
    fc = register_module("fc", torch::nn::Linear(3, 4));
    bn = register_module("bn", torch::nn::BatchNorm1d(4));
  }
  torch::nn::Linear fc{nullptr};
  torch::nn::BatchNorm1d bn{nullptr};
};

void move(PulledNet& net, double step) {
  torch::NoGradGuard no_grad;
  for (auto& parameter : net.parameters()) parameter.add_(std::sin(step) * 0.1);
  net.bn->running_mean.add_(step);
  net.bn->num_batches_tracked.add_(1);
}

TEST(LookaheadTest, FollowsTheRecursion) {
  PulledNet net;
  Lookahead lookahead(net, {.every = 3, .decay = 0.8, .total_steps = 20});
  at::Tensor weight = net.fc->weight.detach().to(torch::kDouble).clone(), slow = weight.clone();
  at::Tensor mean = torch::zeros({4}, torch::kDouble), slow_mean = mean.clone();
  for (int step = 1; step <= 21; ++step) {
    move(net, step);
    lookahead.update();
    weight = weight + std::sin(step) * 0.1;
    mean = mean + step;
    if (step % 3 == 0) {
      const double decay = 0.8 * std::pow(std::min(step / 20.0, 1.0), 3);
      weight = slow = decay * slow + (1 - decay) * weight;
      mean = slow_mean = decay * slow_mean + (1 - decay) * mean;
    }
    EXPECT_TRUE(
        net.fc->weight.to(torch::kDouble).allclose(weight, tolerance::kFp32, tolerance::kFp32))
        << step;
    EXPECT_TRUE(
        net.bn->running_mean.to(torch::kDouble).allclose(mean, tolerance::kFp32, tolerance::kFp32))
        << step;
  }
  EXPECT_EQ(net.bn->num_batches_tracked.item<std::int64_t>(), 21);
}

TEST(LookaheadTest, PullsMasterAndHalfWeightTogether) {
  PulledNet net;
  net.fc->to(torch::kBFloat16);
  SGD optimizer({net.fc->weight}, {.lr = 1e-4});
  Lookahead lookahead(net, {.every = 2, .decay = 1, .total_steps = 2}, [&](const at::Tensor& each) {
    return each.is_same(net.fc->weight) ? optimizer.master(each) : each;
  });
  const at::Tensor before = optimizer.master(net.fc->weight).clone();
  for (int step = 0; step < 2; ++step) {
    net.fc->weight.mutable_grad() = torch::ones({4, 3}, torch::kBFloat16);
    optimizer.step();
    EXPECT_FALSE(optimizer.master(net.fc->weight).equal(before)) << step;
    lookahead.update();
  }
  EXPECT_TRUE(optimizer.master(net.fc->weight).equal(before));  // decay 1: all the way back
  EXPECT_TRUE(net.fc->weight.equal(before.to(torch::kBFloat16)));
  net.fc->weight.mutable_grad() = torch::ones({4, 3}, torch::kBFloat16);
  optimizer.step();  // goes on from the pulled master, below what bf16 can see
  EXPECT_TRUE(optimizer.master(net.fc->weight).allclose(before - 1e-4, 0, 1e-7));
}

TEST(LookaheadTest, ResumedEqualsUninterruptedBitForBit) {
  PulledNet net;
  const LookaheadOptions options{.every = 4, .decay = 0.7, .total_steps = 12};
  Lookahead whole(net, options);
  for (int step = 1; step <= 6; ++step) {
    move(net, step);
    whole.update();
  }
  PulledNet other;
  torch::NoGradGuard no_grad;
  for (const auto& item : net.named_parameters()) {
    other.named_parameters()[item.key()].copy_(item.value());
  }
  for (const auto& item : net.named_buffers()) {
    other.named_buffers()[item.key()].copy_(item.value());
  }
  Lookahead resumed(other, options);
  resumed.load_state_dict(whole.state_dict());
  for (int step = 7; step <= 12; ++step) {
    move(net, step);
    move(other, step);
    whole.update();
    resumed.update();
  }
  EXPECT_EQ(resumed.updates(), 12);
  for (const auto& item : net.named_parameters()) {
    EXPECT_TRUE(other.named_parameters()[item.key()].equal(item.value())) << item.key();
  }
  EXPECT_TRUE(other.bn->running_mean.equal(net.bn->running_mean));
}

TEST(LookaheadTest, AWrongStateChangesNothing) {
  PulledNet net;
  Lookahead lookahead(net, {.every = 1, .decay = 0.5, .total_steps = 4});
  lookahead.update();
  auto state = lookahead.state_dict();
  state.insert_or_assign("updates", int64_t{9});
  auto slow = state.at("slow").toGenericDict().copy();
  slow.insert_or_assign("fc.weight", torch::zeros({5, 3}));
  state.insert_or_assign("slow", slow);
  EXPECT_ERROR(lookahead.load_state_dict(state),
               "a tensor [5, 3] of Float; expected a tensor [4, 3]");
  EXPECT_EQ(lookahead.updates(), 1);
}

TEST(LookaheadTest, OptionsOutOfRangeAreErrors) {
  const PulledNet net;
  EXPECT_ERROR(Lookahead(net, {.total_steps = 1}), "Lookahead every: 0; expected at least 1");
  EXPECT_ERROR(Lookahead(net, {.every = 1, .decay = 1.5, .total_steps = 1}), "from 0 to 1");
  EXPECT_ERROR(Lookahead(net, {.every = 1}), "Lookahead total_steps: 0");
}

}  // namespace
}  // namespace halftone::optim
