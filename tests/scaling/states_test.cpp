// READY -> UNSCALED -> STEPPED per optimizer, and what is said where the order is wrong.
#include "tests/scaling/fakes.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

TEST(ScalerStates, UnscaleTwiceIsAnErrorThatSaysSo) {
  const at::Tensor w = parameter({1});
  auto optimizer = sgd({w});
  GradScaler scaler;
  set_grad(w, {65536});
  scaler.unscale_(optimizer);
  EXPECT_ERROR(scaler.unscale_(optimizer), "unscale_() was called twice on this optimizer");
  EXPECT_EQ(w.grad().item<float>(), 1);
}

TEST(ScalerStates, UnscaleAfterStepIsAnErrorThatSaysSo) {
  const at::Tensor w = parameter({1});
  auto optimizer = sgd({w});
  GradScaler scaler;
  set_grad(w, {1});
  scaler.step(optimizer);
  EXPECT_ERROR(scaler.unscale_(optimizer), "unscale_() was called after step()");
}

TEST(ScalerStates, StepTwiceIsAnErrorThatSaysSo) {
  const at::Tensor w = parameter({1});
  auto plain = sgd({w});
  FakeScaledOptimizer scaled({w});
  for (torch::optim::Optimizer* optimizer :
       {(torch::optim::Optimizer*)&plain, (torch::optim::Optimizer*)&scaled}) {
    GradScaler scaler;
    set_grad(w, {1});
    scaler.step(*optimizer);
    const at::Tensor before = w.detach().clone();
    EXPECT_ERROR(scaler.step(*optimizer), "step() was called twice on this optimizer");
    EXPECT_TRUE(same_bits(w, before));
  }
}

TEST(ScalerStates, StepTwiceIsAnErrorAfterASkippedStepToo) {
  const at::Tensor w = parameter({1});
  auto optimizer = sgd({w});
  GradScaler scaler;
  set_grad(w, {kInf});
  EXPECT_FALSE(scaler.step(optimizer).applied);
  EXPECT_ERROR(scaler.step(optimizer), "step() was called twice on this optimizer");
}

TEST(ScalerStates, UpdateWithoutAnyStepIsAnError) {
  const at::Tensor w = parameter({1});
  auto optimizer = sgd({w});
  GradScaler scaler;
  EXPECT_ERROR(scaler.update(), "update() was called before any step()");
  set_grad(w, {1});
  scaler.unscale_(optimizer);
  EXPECT_ERROR(scaler.update(), "update() was called before any step()");
  scaler.step(optimizer);
  scaler.update();
  EXPECT_ERROR(scaler.update(), "update() was called twice without a step() between");
}

TEST(ScalerStates, UpdateMakesEveryOptimizerReadyAgain) {
  const at::Tensor w = parameter({1});
  auto optimizer = sgd({w});
  GradScaler scaler;
  for (int i = 0; i < 3; ++i) {
    set_grad(w, {65536});
    scaler.unscale_(optimizer);
    EXPECT_TRUE(scaler.step(optimizer).applied);
    scaler.update();
  }
  EXPECT_EQ(w.item<float>(), -2);
}

TEST(ScalerStates, AClosureIsAnError) {
  const at::Tensor w = parameter({1});
  auto optimizer = sgd({w});
  GradScaler scaler;
  set_grad(w, {1});
  EXPECT_ERROR(scaler.step(optimizer, [] { return at::zeros({}); }), "step() with a closure");
  torch::optim::LBFGS needs_one({w}, torch::optim::LBFGSOptions(1));
  EXPECT_ERROR(scaler.step(needs_one), "step() with a closure");
  EXPECT_EQ(w.item<float>(), 1);
}

TEST(ScalerStates, AnExceptionInsideAnOptimizerDoesNotUnscaleTwice) {
  struct Throws : torch::optim::SGD {
    using SGD::SGD;
    at::Tensor step(LossClosure) override {
      if (!thrown++) throw std::runtime_error("once");
      return SGD::step();
    }
    int thrown = 0;
  };
  const at::Tensor w = parameter({1});
  Throws optimizer({w}, torch::optim::SGDOptions(1));
  GradScaler scaler;
  set_grad(w, {65536});
  EXPECT_THROW(scaler.step(optimizer), std::runtime_error);
  EXPECT_TRUE(scaler.step(optimizer).applied);
  EXPECT_EQ(w.item<float>(), 0);
}

}  // namespace
}  // namespace halftone
