#include "halftone/precision/layer_scales.h"

#include <torch/torch.h>

#include <cmath>
#include <limits>

#include "halftone/precision/apply.h"
#include "halftone/precision/autocast.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

TEST(LayerScales, TheScaleBringsTheLargestMagnitudeToTheMiddle) {
  EXPECT_EQ(middle_scale(1), 1);
  EXPECT_EQ(middle_scale(1.99), 1);
  EXPECT_EQ(middle_scale(2), 0.5f);
  EXPECT_EQ(middle_scale(0.75), 2);
  EXPECT_EQ(middle_scale(0x1.8p-40), 0x1p40f);
  for (double none : {0.0, std::numeric_limits<double>::infinity(), std::nan("")}) {
    EXPECT_EQ(middle_scale(none), 1);
  }
  EXPECT_EQ(middle_scale(1e-45), 0x1p126f);  // whose reciprocal fp32 holds
}

// Two convolutions and a product, with a residual sum between.
struct ScaledNet : torch::nn::Module {
  ScaledNet() {
    torch::manual_seed(6);
    first =
        register_module("first", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 8, 3).padding(1)));
    second =
        register_module("second", torch::nn::Conv2d(torch::nn::Conv2dOptions(8, 8, 3).padding(1)));
    last = register_module("last", torch::nn::Linear(8, 4));
    input = torch::randn({4, 3, 6, 6});
  }
  // Of the loss times `factor`, by parameter.
  std::vector<at::Tensor> gradients(const Policy& policy, double factor) {
    at::Tensor loss;
    {
      const Autocast autocast(policy);
      const at::Tensor x = torch::relu(first(input));
      const at::Tensor y = last((x + torch::relu(second(x))).mean({2, 3}));
      loss = y.to(torch::kFloat).square().mean() * factor;
    }
    return torch::autograd::grad({loss}, parameters());
  }
  torch::nn::Conv2d first{nullptr}, second{nullptr};
  torch::nn::Linear last{nullptr};
  at::Tensor input;
};

double error(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, ((a[i] - b[i]).norm() / a[i].norm()).item<double>());
  }
  return worst;
}

TEST(LayerScales, GradientsAreFp16sWhereverTheyLieInFp32) {
  ScaledNet net;
  const Policy fp32 = Policy::preset("fp32"), layers = Policy::preset("fp16-layers");
  halftone::apply(layers, net);
  const auto at_one = net.gradients(layers, 1);
  EXPECT_GT(error(net.gradients(fp32, 1), at_one), 0.0);
  for (int exponent : {-60, -20, 0, 20, 60}) {
    const double factor = std::ldexp(1.0, exponent);
    const auto given = net.gradients(layers, factor);
    EXPECT_LT(error(net.gradients(fp32, factor), given), 3 * tolerance::kFp16) << exponent;
    // Every scale is a power of two: the bits are those at another magnitude.
    for (std::size_t i = 0; i < given.size(); ++i) {
      EXPECT_TRUE(torch::equal(given[i], at_one[i] * factor)) << exponent << " " << i;
    }
  }
  // Without scales they vanish.
  Policy bare = Policy::preset("fp16");
  EXPECT_EQ(net.gradients(bare, 0x1p-60)[0].abs().max().item<double>(), 0.0);
}

TEST(LayerScales, ExceptionsAndEvaluationAreAsEver) {
  ScaledNet net;
  Policy policy = Policy::preset("fp16-layers");
  policy.modules = {{"second", Format::fp32}};
  halftone::apply(policy, net);
  const at::NoGradGuard no_grad;
  const Autocast autocast(policy);
  const at::Tensor x = net.first(net.input);
  EXPECT_EQ(x.scalar_type(), torch::kFloat);
  EXPECT_TRUE(torch::equal(x, x.to(torch::kHalf).to(torch::kFloat)));  // as fp16 has made it
  const at::Tensor y = net.second(x);
  EXPECT_FALSE(torch::equal(y, y.to(torch::kHalf).to(torch::kFloat)));
}

// Overwritten in place, shared, and with an operand that wants no gradient.
TEST(LayerScales, WorkWithProductsOfActivations) {
  const Policy policy = Policy::preset("fp16-layers");
  const at::Tensor a = torch::randn({2, 5, 7}).requires_grad_(), b = torch::randn({2, 7, 3});
  const Autocast autocast(policy);
  const at::Tensor c = torch::bmm(a, b).relu_();
  (c.square().sum() * 0x1p-50).backward();
  EXPECT_GT(a.grad().abs().max().item<double>(), 0.0);
  EXPECT_TRUE(a.grad().isfinite().all().item<bool>());
}

}  // namespace
}  // namespace halftone
