// What step() writes, what it does not, and what it says.
#include <cmath>

#include "halftone/precision/parameter_names.h"
#include "tests/scaling/fakes.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

TEST(ScalerScale, MultipliesTheLossAndItsGradients) {
  GradScaler scaler(dynamic_scale(1024));
  const at::Tensor w = parameter({3});
  const at::Tensor scaled = scaler.scale(w.sum() * 2);
  EXPECT_EQ(scaled.item<float>(), 6 * 1024);
  scaled.backward();
  EXPECT_EQ(w.grad().item<float>(), 2 * 1024);
}

TEST(ScalerScale, AHalfLossIsTakenToFp32Because65536DoesNotFit) {
  GradScaler scaler;
  const at::Tensor scaled = scaler.scale(at::full({}, 2.0, at::kHalf));
  EXPECT_EQ(scaled.scalar_type(), at::kFloat);
  EXPECT_EQ(scaled.item<float>(), 131072);
  EXPECT_EQ(scaler.scale(at::ones({}, at::kDouble)).scalar_type(), at::kDouble);
}

TEST(ScalerScale, WithoutScalingItIsTheLossItself) {
  GradScaler scaler({.kind = LossScaling::none});
  const at::Tensor loss = at::ones({});
  EXPECT_TRUE(scaler.scale(loss).is_same(loss));
  EXPECT_FALSE(scaler.enabled());
}

TEST(ScalerScale, WhatIsNoLossIsAnError) {
  GradScaler scaler;
  EXPECT_ERROR(scaler.scale(at::Tensor()), "an undefined loss");
  EXPECT_ERROR(scaler.scale(at::ones({}, at::kLong)), "a loss of Long");
}

TEST(ScalerStep, AnyOptimizerHasItsGradientsUnscaledInPlace) {
  const at::Tensor w = parameter({1, 2});
  auto optimizer = sgd({w});
  GradScaler scaler;
  scaler.scale((w * at::tensor({3.0f, 4.0f})).sum()).backward();
  const StepResult result = scaler.step(optimizer);
  EXPECT_TRUE(result.applied);
  EXPECT_EQ(result.first_non_finite, "");
  EXPECT_EQ(result.scale, 65536);
  EXPECT_DOUBLE_EQ(result.grad_norm, 5);
  EXPECT_TRUE(same_bits(w, at::tensor({-2.0f, -2.0f})));
}

TEST(ScalerStep, AScaledOptimizerUnscalesInItsOwnPass) {
  const at::Tensor w = parameter({1, 2});
  FakeScaledOptimizer optimizer({w});
  GradScaler scaler;
  scaler.scale((w * at::tensor({3.0f, 4.0f})).sum()).backward();
  const StepResult result = scaler.step(optimizer);
  EXPECT_TRUE(result.applied);
  EXPECT_DOUBLE_EQ(result.grad_norm, 5);
  EXPECT_EQ(optimizer.calls, (std::vector<std::string>{"check", "step"}));
  EXPECT_EQ(optimizer.inverse_scales, (std::vector<double>{1.0 / 65536}));
  EXPECT_EQ(w.grad()[0].item<float>(), 3 * 65536);  // not written
  EXPECT_TRUE(same_bits(w, at::tensor({-2.0f, -2.0f})));
}

TEST(ScalerStep, ASkippedStepWritesNeitherWeightsNorOptimizerState) {
  const at::Tensor a = parameter({1, 2}), b = parameter({3});
  torch::optim::Adam optimizer({a, b}, torch::optim::AdamOptions(0.1));
  GradScaler scaler;
  auto iterate = [&](float third) {
    set_grad(a, {65536, 2 * 65536});
    set_grad(b, {third});
    const StepResult result = scaler.step(optimizer);
    scaler.update();
    return result;
  };
  ASSERT_TRUE(iterate(5).applied);
  auto state = [&](const at::Tensor& p) -> torch::optim::AdamParamState& {
    return static_cast<torch::optim::AdamParamState&>(
        *optimizer.state().at(p.unsafeGetTensorImpl()));
  };
  for (float bad : {kInf, -kInf, kNan}) {
    std::vector<at::Tensor> before;
    for (const auto& p : {a, b}) {
      for (const auto& t : {p, state(p).exp_avg(), state(p).exp_avg_sq()}) {
        before.push_back(t.detach().clone());
      }
    }
    const StepResult result = iterate(bad);
    EXPECT_FALSE(result.applied);
    EXPECT_TRUE(std::isinf(result.grad_norm));
    std::size_t i = 0;
    for (const auto& p : {a, b}) {
      EXPECT_EQ(state(p).step(), 1);
      for (const auto& t : {p, state(p).exp_avg(), state(p).exp_avg_sq()}) {
        EXPECT_TRUE(same_bits(t, before[i++]));
      }
    }
  }
  EXPECT_EQ(scaler.skipped_steps(), 3);
  EXPECT_TRUE(iterate(5).applied);
  EXPECT_EQ(state(a).step(), 2);
}

TEST(ScalerStep, ASkippedScaledOptimizerIsNotAskedToStep) {
  const at::Tensor w = parameter({1});
  FakeScaledOptimizer optimizer({w});
  GradScaler scaler;
  set_grad(w, {kNan});
  EXPECT_FALSE(scaler.step(optimizer).applied);
  EXPECT_EQ(optimizer.calls, (std::vector<std::string>{"check"}));
}

TEST(ScalerStep, TheFirstParameterThatIsNotFiniteIsNamed) {
  torch::nn::Sequential net(torch::nn::Linear(2, 3), torch::nn::Linear(3, 1));
  register_parameter_names(*net, "net");
  torch::optim::SGD optimizer(net->parameters(), torch::optim::SGDOptions(0.1));
  GradScaler scaler;
  for (const auto& p : net->parameters()) p.mutable_grad() = at::ones_like(p);
  net->parameters()[3].mutable_grad().fill_(kInf);
  net->parameters()[2].mutable_grad()[0][1] = kNan;
  EXPECT_EQ(scaler.step(optimizer).first_non_finite, "net.1.weight");
}

TEST(ScalerStep, WithoutNamesTheGroupAndIndexAreGiven) {
  const at::Tensor a = parameter({1}), b = parameter({1}), c = parameter({1});
  torch::optim::SGD plain(
      {torch::optim::OptimizerParamGroup({a}), torch::optim::OptimizerParamGroup({b, c})},
      torch::optim::SGDOptions(1));
  FakeScaledOptimizer scaled({a, b, c});
  for (const auto& p : {a, b, c}) set_grad(p, {1});
  set_grad(c, {kInf});
  GradScaler scaler;
  EXPECT_EQ(scaler.step(plain).first_non_finite, "group 1, parameter 1");
  EXPECT_EQ(scaler.step(scaled).first_non_finite, "group 0, parameter 2");
}

TEST(ScalerStep, ParametersWithoutGradientsCountForTheIndex) {
  const at::Tensor a = parameter({1}), b = parameter({1}), c = parameter({1});
  auto optimizer = sgd({a, b, c});
  GradScaler scaler;
  set_grad(c, {kInf});
  EXPECT_EQ(scaler.step(optimizer).first_non_finite, "group 0, parameter 2");
}

TEST(ScalerStep, TheNormOfLargeFiniteGradientsDoesNotOverflow) {
  const at::Tensor w = parameter({0, 0});
  auto optimizer = sgd({w});
  GradScaler scaler({.kind = LossScaling::none});
  set_grad(w, {3e30f, 4e30f});
  const StepResult result = scaler.step(optimizer);
  EXPECT_TRUE(result.applied);
  EXPECT_NEAR(result.grad_norm, 5e30, 5e30 * tolerance::kFp32);
}

TEST(ScalerStep, WithoutScalingGradientsAreStillChecked) {
  const at::Tensor w = parameter({1});
  GradScaler scaler({.kind = LossScaling::none});
  auto optimizer = sgd({w});
  set_grad(w, {kNan});
  EXPECT_FALSE(scaler.step(optimizer).applied);
  EXPECT_EQ(w.item<float>(), 1);
  scaler.update();
  set_grad(w, {2});
  const StepResult result = scaler.step(optimizer);
  EXPECT_TRUE(result.applied);
  EXPECT_EQ(result.scale, 1);
  EXPECT_EQ(w.item<float>(), -1);
}

TEST(ScalerStep, MixedFormatsAndStridesShareOneCheck) {
  at::Tensor single = at::zeros({2, 3}).t().requires_grad_(true);
  at::Tensor wide = at::zeros({4}, at::kDouble).requires_grad_(true);
  at::Tensor brain = at::zeros({5}, at::kBFloat16).requires_grad_(true);
  for (int bad = -1; bad < 3; ++bad) {
    torch::optim::SGD optimizer({single, wide, brain}, torch::optim::SGDOptions(1));
    GradScaler scaler;
    const at::Tensor all[] = {single, wide, brain};
    for (const auto& p : all) p.mutable_grad() = at::full_like(p, 65536);
    if (bad >= 0) all[bad].mutable_grad()[1] = kInf;
    const StepResult result = scaler.step(optimizer);
    EXPECT_EQ(result.applied, bad < 0);
    if (bad >= 0) {
      EXPECT_EQ(result.first_non_finite, "group 0, parameter " + std::to_string(bad));
    } else {
      EXPECT_NEAR(result.grad_norm, std::sqrt(15), 15 * tolerance::kFp32Unit);
      for (const auto& p : all) EXPECT_TRUE(p.grad().eq(1).all().item<bool>());
    }
  }
}

TEST(ScalerUnscale, ClippingByHandBetweenUnscaleAndStep) {
  const at::Tensor w = parameter({0, 0});
  auto plain = sgd({w});
  FakeScaledOptimizer scaled({w});
  for (torch::optim::Optimizer* optimizer :
       {(torch::optim::Optimizer*)&plain, (torch::optim::Optimizer*)&scaled}) {
    const at::Tensor start = w.detach().clone();
    GradScaler scaler;
    set_grad(w, {3 * 65536, 4 * 65536});
    scaler.unscale_(*optimizer);
    EXPECT_TRUE(same_bits(w.grad(), at::tensor({3.0f, 4.0f})));
    torch::nn::utils::clip_grad_norm_({w}, 0.5);
    const StepResult result = scaler.step(*optimizer);
    EXPECT_NEAR(result.grad_norm, 0.5, tolerance::kFp32);  // of the gradients that are applied
    const at::Tensor moved = start - w.detach();
    EXPECT_NEAR(moved[0].item<float>(), 0.3, tolerance::kFp32);
    EXPECT_NEAR(moved[1].item<float>(), 0.4, tolerance::kFp32);
  }
  EXPECT_EQ(scaled.inverse_scales, (std::vector<double>{1}));
  EXPECT_NEAR(scaled.norms.at(0), 0.5, tolerance::kFp32);
}

TEST(ScalerUnscale, AnOverflowFoundThereStaysEvenIfTheUserRepairsTheGradient) {
  const at::Tensor w = parameter({1});
  auto optimizer = sgd({w});
  GradScaler scaler;
  set_grad(w, {kInf});
  scaler.unscale_(optimizer);
  set_grad(w, {1});
  const StepResult result = scaler.step(optimizer);
  EXPECT_FALSE(result.applied);
  EXPECT_EQ(result.first_non_finite, "group 0, parameter 0");
  scaler.update();
  EXPECT_EQ(scaler.loss_scale(), 32768);
}

TEST(ScalerUnscale, WhatTheUserBreaksAfterwardsIsFound) {
  const at::Tensor w = parameter({1});
  auto optimizer = sgd({w});
  GradScaler scaler;
  set_grad(w, {1});
  scaler.unscale_(optimizer);
  set_grad(w, {kNan});
  EXPECT_FALSE(scaler.step(optimizer).applied);
  EXPECT_EQ(w.item<float>(), 1);
}

}  // namespace
}  // namespace halftone
