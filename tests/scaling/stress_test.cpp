#include <cmath>

#include "tests/scaling/fakes.h"
#include "tests/scaling/patterns.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

TEST(ScalerStress, WanderingBetweenFloorAndCeilingEveryStepIsExactAndWithinThem) {
  LossScalePolicy policy{.kind = LossScaling::dynamic, .init = 8, .growth_interval = 1};
  policy.min = 0.5;
  policy.max = 64;
  GradScaler scaler(policy);
  scaler.set_skip_warning(0, 0);
  const at::Tensor w = parameter({0});
  auto optimizer = sgd({w});
  Draw draw(42);
  int floor = 0, ceiling = 0;
  float expected = 0;
  for (int i = 0; i < 2000; ++i) {
    const bool bad = draw(100) < (i / 100 % 2 ? 70 : 20);
    optimizer.zero_grad();
    scaler.scale((w * (bad ? kNan : 1.0f)).sum()).backward();
    const StepResult result = scaler.step(optimizer);
    scaler.update();
    ASSERT_EQ(result.applied, !bad);
    if (!bad) expected -= 1;
    ASSERT_EQ(w.item<float>(), expected) << "step " << i;
    ASSERT_GE(scaler.loss_scale(), policy.min);
    ASSERT_LE(scaler.loss_scale(), policy.max);
    floor += scaler.loss_scale() == policy.min;
    ceiling += scaler.loss_scale() == policy.max;
  }
  EXPECT_GT(floor, 20);
  EXPECT_GT(ceiling, 20);
}

TEST(ScalerStress, InfOrNanAtAnyElementOfAnyParameterIsFoundAndNamed) {
  // Sizes around vector widths and the grain of a parallel loop.
  std::vector<at::Tensor> parameters;
  for (int64_t size : {1, 7, 8, 16, 33, 1000, 40000}) {
    parameters.push_back(at::zeros({size}).requires_grad_(true));
  }
  auto optimizer = sgd(parameters);
  GradScaler scaler;
  scaler.set_skip_warning(0, 0);
  Draw draw(7);
  for (int i = 0; i < 300; ++i) {
    for (const auto& p : parameters) p.mutable_grad() = at::ones_like(p);
    const auto which = static_cast<std::size_t>(i) % parameters.size();
    const auto where = static_cast<int64_t>(draw(parameters[which].numel()));
    parameters[which].mutable_grad()[where] = i % 3 == 0 ? kInf : i % 3 == 1 ? -kInf : kNan;
    const StepResult result = scaler.step(optimizer);
    scaler.update();
    ASSERT_FALSE(result.applied);
    ASSERT_EQ(result.first_non_finite, "group 0, parameter " + std::to_string(which)) << where;
  }
  for (const auto& p : parameters) EXPECT_TRUE(p.eq(0).all().item<bool>());
  EXPECT_EQ(scaler.loss_scale(), 1);
  EXPECT_EQ(scaler.skipped_steps(), 300);
}

TEST(ScalerStress, EmptyTensorsAreGradientsToo) {
  const at::Tensor empty = at::zeros({0, 3}).requires_grad_(true), w = parameter({1});
  for (const auto& parameters : {std::vector<at::Tensor>{empty}, {empty, w}}) {
    auto optimizer = sgd(parameters);
    GradScaler scaler;
    for (const auto& p : parameters) p.mutable_grad() = at::ones_like(p) * 65536;
    const StepResult result = scaler.step(optimizer);
    EXPECT_TRUE(result.applied);
    EXPECT_EQ(result.grad_norm, parameters.size() - 1.0);
  }
  EXPECT_EQ(w.item<float>(), 0);
}

TEST(ScalerStress, AZeroGradientIsFinite) {
  const at::Tensor w = parameter({1});
  auto optimizer = sgd({w});
  GradScaler scaler;
  set_grad(w, {0});
  const StepResult result = scaler.step(optimizer);
  EXPECT_TRUE(result.applied);
  EXPECT_EQ(result.grad_norm, 0);
}

TEST(ScalerStress, ExtremeScalesHaveAFiniteReciprocal) {
  for (double scale : {0x1p-126, 0x1p-60, 0x1p60, 0x1p126}) {
    const at::Tensor w = parameter({0});
    auto optimizer = sgd({w});
    GradScaler scaler({.kind = LossScaling::fixed, .init = scale, .min = 0x1p-126});
    scaler.scale(w.sum()).backward();
    EXPECT_TRUE(scaler.step(optimizer).applied);
    EXPECT_EQ(w.item<float>(), -1) << scale;
  }
}

TEST(ScalerStress, AGradientThatOverflowsWhenASmallScaleIsTakenOutSkipsTheStep) {
  const at::Tensor w = parameter({0});
  auto optimizer = sgd({w});
  GradScaler scaler({.kind = LossScaling::fixed, .init = 0x1p-60, .min = 0x1p-60});
  set_grad(w, {0x1p100f});
  const StepResult result = scaler.step(optimizer);
  EXPECT_FALSE(result.applied);
  EXPECT_EQ(result.first_non_finite, "group 0, parameter 0");
  EXPECT_EQ(w.item<float>(), 0);
}

// One code path: LibTorch's operations on the device, one transfer per step.
TEST(ScalerStress, OnCudaTheSameHoldsAndParametersMayBeOnTwoDevices) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device";
  const at::Tensor a = at::zeros({1000}, at::kCUDA).requires_grad_(true), b = parameter({0});
  auto optimizer = sgd({a, b});
  GradScaler scaler(dynamic_scale(1024));
  for (const bool bad : {false, true, false}) {
    a.mutable_grad() = at::full_like(a, 1024);
    set_grad(b, {1024});
    if (bad) a.mutable_grad()[999] = kInf;
    const StepResult result = scaler.step(optimizer);
    scaler.update();
    EXPECT_EQ(result.applied, !bad);
    EXPECT_EQ(result.first_non_finite, bad ? "group 0, parameter 0" : "");
  }
  EXPECT_EQ(scaler.loss_scale(), 512);
}

}  // namespace
}  // namespace halftone
