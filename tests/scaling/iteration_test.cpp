// Several losses, several optimizers, several backward passes in one iteration.
#include "tests/scaling/fakes.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

TEST(ScalerIteration, SeveralLossesShareTheScale) {
  const at::Tensor w = parameter({1});
  auto optimizer = sgd({w});
  GradScaler scaler;
  scaler.scale((w * 2).sum()).backward();
  scaler.scale((w * 3).sum()).backward();
  EXPECT_TRUE(scaler.step(optimizer).applied);
  EXPECT_EQ(w.item<float>(), -4);
}

TEST(ScalerIteration, OneOptimizersOverflowSkipsItAloneAndLowersTheScaleForAll) {
  const at::Tensor a = parameter({1}), b = parameter({1}), c = parameter({1});
  auto first = sgd({a}), second = sgd({b});
  FakeScaledOptimizer third({c});
  // Whichever of them overflows, whatever comes after it.
  for (int bad = 0; bad < 3; ++bad) {
    GradScaler scaler;
    torch::optim::Optimizer* optimizers[] = {&first, &second, &third};
    const at::Tensor all[] = {a, b, c};
    for (int i = 0; i < 3; ++i) set_grad(all[i], {i == bad ? kInf : 65536});
    for (int i = 0; i < 3; ++i) EXPECT_EQ(scaler.step(*optimizers[i]).applied, i != bad);
    scaler.update();
    EXPECT_EQ(scaler.loss_scale(), 32768) << bad;
    EXPECT_EQ(scaler.skipped_steps(), 1);
  }
  EXPECT_EQ(a.item<float>(), -1);
  EXPECT_EQ(b.item<float>(), -1);
  EXPECT_EQ(c.item<float>(), -1);
}

TEST(ScalerIteration, OptimizersHaveStatesOfTheirOwn) {
  const at::Tensor a = parameter({1}), b = parameter({1});
  auto first = sgd({a}), second = sgd({b});
  GradScaler scaler;
  set_grad(a, {65536});
  set_grad(b, {65536});
  scaler.unscale_(first);
  EXPECT_TRUE(scaler.step(second).applied);  // not unscaled before: step() does it
  EXPECT_TRUE(scaler.step(first).applied);   // unscaled before: step() does not
  EXPECT_EQ(a.item<float>(), 0);
  EXPECT_EQ(b.item<float>(), 0);
  EXPECT_ERROR(scaler.step(second), "step() was called twice");
}

TEST(ScalerIteration, AnOverflowWhoseOptimizerIsNotSteppedStillLowersTheScale) {
  const at::Tensor a = parameter({1}), b = parameter({1});
  auto first = sgd({a}), second = sgd({b});
  GradScaler scaler;
  set_grad(a, {kInf});
  set_grad(b, {1});
  scaler.unscale_(first);
  scaler.step(second);
  scaler.update();
  EXPECT_EQ(scaler.loss_scale(), 32768);
}

TEST(ScalerIteration, AccumulationUnscalesAtTheBoundaryAlone) {
  const at::Tensor w = parameter({1});
  auto optimizer = sgd({w});
  GradScaler scaler(dynamic_scale(1024));
  for (int iteration = 0; iteration < 2; ++iteration) {
    for (int k = 1; k <= 4; ++k) {
      scaler.scale((w * k).sum() / 4).backward();
      EXPECT_EQ(w.grad().item<float>(), 1024 * k * (k + 1) / 8.0f) << "still scaled after " << k;
      EXPECT_EQ(scaler.loss_scale(), 1024);
    }
    const StepResult result = scaler.step(optimizer);
    scaler.update();
    EXPECT_TRUE(result.applied);
    EXPECT_EQ(result.grad_norm, 2.5);
    EXPECT_EQ(w.grad().item<float>(), 2.5);
    optimizer.zero_grad();
  }
  EXPECT_EQ(w.item<float>(), -4);
}

TEST(ScalerIteration, AnOverflowInOneOfTheAccumulatedPassesSkipsTheStepOnce) {
  const at::Tensor w = parameter({1});
  auto optimizer = sgd({w});
  GradScaler scaler(dynamic_scale(1024));
  for (float factor : {1.0f, kInf, 1.0f}) scaler.scale((w * factor).sum()).backward();
  EXPECT_FALSE(scaler.step(optimizer).applied);
  scaler.update();
  EXPECT_EQ(scaler.loss_scale(), 512);
  EXPECT_EQ(scaler.skipped_steps(), 1);
  EXPECT_EQ(w.item<float>(), 1);
}

TEST(ScalerIteration, TrainsAsWithoutScalingBitForBit) {
  // A power of two moves exponents alone.
  auto train = [](LossScaling kind) {
    torch::manual_seed(3);
    torch::nn::Linear net(4, 2);
    torch::optim::Adam optimizer(net->parameters(), torch::optim::AdamOptions(0.01));
    GradScaler scaler({.kind = kind, .growth_interval = 3});
    for (int i = 0; i < 20; ++i) {
      optimizer.zero_grad();
      scaler.scale(net->forward(at::randn({8, 4})).square().mean()).backward();
      scaler.step(optimizer);
      scaler.update();
    }
    return net->weight.detach();
  };
  const at::Tensor plain = train(LossScaling::none);
  EXPECT_TRUE(same_bits(plain, train(LossScaling::dynamic)));
  EXPECT_TRUE(same_bits(plain, train(LossScaling::fixed)));
}

}  // namespace
}  // namespace halftone
