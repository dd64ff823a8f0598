// Gradients that cannot be right.
#include "halftone/precision/parameter_names.h"
#include "tests/scaling/fakes.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

TEST(ScalerErrors, Fp16GradientsOfAnOrdinaryOptimizerAreRefusedBeforeAnythingIsWritten) {
  torch::nn::Linear net(2, 2);
  net->to(at::kHalf);
  register_parameter_names(*net, "fc");
  const at::Tensor other = parameter({1});
  std::vector<at::Tensor> parameters = {other, net->weight};
  auto optimizer = sgd(parameters);
  set_grad(other, {65536});
  net->weight.mutable_grad() = at::ones_like(net->weight);
  GradScaler scaler;
  EXPECT_ERROR(scaler.step(optimizer), "fc.weight: the gradient is fp16");
  EXPECT_ERROR(scaler.unscale_(optimizer), "fp32 weights (Autocast casts them per operation)");
  EXPECT_EQ(other.grad().item<float>(), 65536);
}

TEST(ScalerErrors, Fp16GradientsAreRightForAScaledOptimizerButNotUnscaledInPlace) {
  const at::Tensor w = at::zeros({1}, at::kHalf).requires_grad_(true);
  FakeScaledOptimizer optimizer({w});
  GradScaler scaler(dynamic_scale(1024));
  w.mutable_grad() = at::full({1}, 2048, at::kHalf);
  EXPECT_ERROR(scaler.unscale_(optimizer), "the gradient is fp16");
  EXPECT_TRUE(scaler.step(optimizer).applied);
  EXPECT_EQ(w.item<float>(), -2);
}

TEST(ScalerErrors, Fp16GradientsArePassedWhereNothingIsScaled) {
  const at::Tensor w = at::zeros({1}, at::kHalf).requires_grad_(true);
  auto optimizer = sgd({w});
  GradScaler scaler({.kind = LossScaling::none});
  w.mutable_grad() = at::full({1}, 2, at::kHalf);
  EXPECT_TRUE(scaler.step(optimizer).applied);
  EXPECT_EQ(w.item<float>(), -2);
}

TEST(ScalerErrors, NoGradientsAtAllListsTheParametersThatWereNotReached) {
  torch::nn::Sequential net(torch::nn::Linear(1, 1), torch::nn::Linear(1, 1));
  register_parameter_names(*net);
  const at::Tensor stray = parameter({1});
  auto parameters = net->parameters();
  parameters.push_back(stray);
  auto plain = sgd(parameters);
  FakeScaledOptimizer scaled(parameters);
  for (torch::optim::Optimizer* optimizer :
       {(torch::optim::Optimizer*)&plain, (torch::optim::Optimizer*)&scaled}) {
    GradScaler scaler;
    EXPECT_ERROR(scaler.step(*optimizer),
                 "GradScaler::step(): none of the optimizer's 5 parameters was reached by "
                 "backward(), none has a gradient (0.weight; 0.bias; 1.weight; 1.bias; group 0, "
                 "parameter 4)");
    EXPECT_ERROR(scaler.unscale_(*optimizer), "GradScaler::unscale_(): none of");
    EXPECT_ERROR(scaler.update(), "before any step()");
  }
}

TEST(ScalerErrors, ALongListOfParametersIsCutAndFrozenOnesAreNamedSo) {
  std::vector<at::Tensor> parameters;
  for (int i = 0; i < 8; ++i) parameters.push_back(at::zeros({1}));
  auto optimizer = sgd(parameters);
  GradScaler scaler;
  EXPECT_ERROR(scaler.step(optimizer), "group 0, parameter 4; and 3 more); none requires one");
}

TEST(ScalerErrors, AnOptimizerWithoutParametersIsAnError) {
  auto optimizer = sgd({});
  GradScaler scaler;
  EXPECT_ERROR(scaler.step(optimizer), "the optimizer has no parameters");
}

TEST(ScalerErrors, SparseGradientsAreAnError) {
  const at::Tensor w = parameter({1, 2, 3});
  w.mutable_grad() = at::ones({3}).to_sparse();
  auto optimizer = sgd({w});
  GradScaler scaler;
  EXPECT_ERROR(scaler.step(optimizer), "group 0, parameter 0: the gradient is sparse");
}

}  // namespace
}  // namespace halftone
