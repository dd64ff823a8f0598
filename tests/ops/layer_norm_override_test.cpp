#include <torch/torch.h>

#include "halftone/kernels/layer_norm/layer_norm.h"
#include "tests/ops/override_support.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

struct LayerNormInputs {
  torch::Tensor x, weight, bias;
};

// parameters: kByte for none.
LayerNormInputs layer_norm_inputs(at::ScalarType type, at::ScalarType parameters) {
  torch::manual_seed(1);
  LayerNormInputs in;
  in.x = torch::randn({5, 7, 30}).to(type).detach().requires_grad_();
  in.weight = torch::rand({7, 30}).add(0.5).to(parameters).detach().requires_grad_();
  in.bias = torch::randn({7, 30}).to(parameters).detach().requires_grad_();
  return in;
}

// y and the gradients.
std::vector<torch::Tensor> layer_norm_results(const LayerNormInputs& in, at::IntArrayRef shape,
                                              const torch::Tensor& dy) {
  const auto y = at::layer_norm(in.x, shape, in.weight, in.bias, 1e-5);
  auto results = torch::autograd::grad({y}, {in.x, in.weight, in.bias}, {dy});
  results.push_back(y);
  return results;
}

TEST(LayerNormOverride, MatchesFp64AndHasLibTorchsTypes) {
  const OverrideTest on;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    for (auto parameters : {at::kFloat, type}) {
      const auto in = layer_norm_inputs(type, parameters);
      const auto dy = torch::randn({5, 7, 30}).to(type);
      const auto runs = total_runs(kernels::layer_norm_forward_ladder()) +
                        total_runs(kernels::layer_norm_backward_ladder());
      const auto found = layer_norm_results(in, {7, 30}, dy);
      EXPECT_EQ(total_runs(kernels::layer_norm_forward_ladder()) +
                    total_runs(kernels::layer_norm_backward_ladder()),
                runs + 2);
      LayerNormInputs wide{in.x.detach().to(at::kDouble).requires_grad_(),
                           in.weight.detach().to(at::kDouble).requires_grad_(),
                           in.bias.detach().to(at::kDouble).requires_grad_()};
      const auto exact = layer_norm_results(wide, {7, 30}, dy.to(at::kDouble));
      const auto stock = on.stock([&] { return layer_norm_results(in, {7, 30}, dy); });
      const double tolerance = type == at::kHalf ? tolerance::kFp16 : tolerance::kBf16;
      for (std::size_t i = 0; i < found.size(); ++i) {
        EXPECT_TRUE(at::allclose(found[i].to(at::kDouble), exact[i], tolerance, tolerance)) << i;
        EXPECT_EQ(found[i].scalar_type(), stock[i].scalar_type());
        EXPECT_EQ(found[i].strides(), stock[i].strides());
      }
    }
  }
}

TEST(LayerNormOverride, StatisticsAreLibTorchs) {
  const OverrideTest on;
  const auto in = layer_norm_inputs(at::kHalf, at::kFloat);
  for (bool affine : {true, false}) {
    // A transposed view and zero strides.
    for (const auto& x :
         {in.x.detach().transpose(0, 1), in.x.detach().select(0, 0).expand({4, 7, 30})}) {
      const auto run = [&] {
        using Optional = std::optional<at::Tensor>;
        const Optional w = affine ? Optional(torch::ones({30})) : std::nullopt;
        return at::native_layer_norm(x, {30}, w, w, 1e-5);
      };
      const auto runs = total_runs(kernels::layer_norm_forward_ladder());
      const auto [y, mean, invstd] = run();
      EXPECT_EQ(total_runs(kernels::layer_norm_forward_ladder()), runs + 1);
      if (!affine) continue;  // LibTorch's own needs a weight here
      const auto [stock, stock_mean, stock_invstd] = on.stock(run);
      EXPECT_EQ(y.strides(), stock.strides());
      EXPECT_EQ(mean.sizes(), stock_mean.sizes());
      EXPECT_EQ(mean.scalar_type(), stock_mean.scalar_type());
      EXPECT_TRUE(at::allclose(y, stock, tolerance::kFp16, tolerance::kFp16));
      EXPECT_TRUE(at::allclose(mean, stock_mean, 1e-4, 1e-5));
      EXPECT_TRUE(at::allclose(invstd, stock_invstd, 1e-4, 1e-5));
    }
  }
}

TEST(LayerNormOverride, SecondDerivativesAreLibTorchs) {
  const OverrideTest on;
  const auto gradient_of_gradient = [](at::ScalarType type) {
    torch::manual_seed(3);
    const auto x = torch::randn({6, 40}).to(at::kHalf).to(type).requires_grad_();
    const auto w = torch::ones({40}, type == at::kHalf ? at::kFloat : type);
    const auto y = at::layer_norm(x, {40}, w, w, 1e-5).pow(2);
    const auto g = torch::autograd::grad({y.sum()}, {x}, {}, true, true)[0];
    return torch::autograd::grad({g.pow(2).sum()}, {x})[0].to(at::kDouble);
  };
  EXPECT_TRUE(at::allclose(gradient_of_gradient(at::kHalf), gradient_of_gradient(at::kDouble),
                           5 * tolerance::kFp16, 10 * tolerance::kFp16));
}

TEST(LayerNormOverride, Fp32AndErrorsAreLibTorchs) {
  const OverrideTest on;
  const auto in = layer_norm_inputs(at::kFloat, at::kFloat);
  const auto dy = torch::randn({5, 7, 30});
  const auto found = layer_norm_results(in, {7, 30}, dy);
  const auto stock = on.stock([&] { return layer_norm_results(in, {7, 30}, dy); });
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(at::equal(found[i], stock[i]));

  const auto x = in.x.detach().to(at::kHalf);
  const auto wide = torch::ones({30}), half = wide.to(at::kHalf);
  on.expect_same_error([&] { at::layer_norm(x, {31}, wide, wide); });
  on.expect_same_error([&] { at::layer_norm(x, {30}, torch::ones({29}), wide); });
  on.expect_same_error([&] { at::native_layer_norm(x, {30}, wide, half, 1e-5); });
  on.expect_same_error([&] { at::native_layer_norm(x, {30}, half, wide, 1e-5); });
}

}  // namespace
}  // namespace halftone
