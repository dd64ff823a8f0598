#include <torch/torch.h>

#include "halftone/kernels/max_pool/max_pool.h"
#include "tests/ops/override_support.h"

namespace halftone {
namespace {

namespace F = torch::nn::functional;

torch::Tensor pool_input(torch::IntArrayRef sizes, at::ScalarType type, at::MemoryFormat format) {
  return torch::randn(sizes).to(type).contiguous(format);
}

TEST(MaxPoolOverride, GivesLibTorchsOwnBits) {
  const OverrideTest on;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    for (auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      for (bool ceil_mode : {false, true}) {
        const auto x = pool_input({2, 19, 15, 20}, type, format);
        const auto run = [&] {
          return at::max_pool2d_with_indices(x, {3, 2}, {2, 2}, {1, 1}, {1, 1}, ceil_mode);
        };
        const auto runs = total_runs(kernels::max_pool_ladder());
        const auto [y, indices] = run();
        EXPECT_EQ(total_runs(kernels::max_pool_ladder()), runs + 1);
        const auto [stock, stock_indices] = on.stock(run);
        EXPECT_TRUE(at::equal(y, stock));
        EXPECT_TRUE(at::equal(indices, stock_indices));
        EXPECT_EQ(y.strides(), stock.strides());
        EXPECT_EQ(indices.strides(), stock_indices.strides());
      }
    }
  }
}

TEST(MaxPoolOverride, GradientsMatchFp32OnAnyLayoutAndView) {
  const OverrideTest on;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    for (auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      // A view with gaps in two dimensions.
      const auto x = pool_input({2, 40, 9, 26}, type, format).slice(1, 3, 37).slice(3, 1, 24, 2);
      const auto half = x.detach().requires_grad_();
      const auto single = x.to(at::kFloat).detach().requires_grad_();
      const auto options = F::MaxPool2dFuncOptions(3).stride(2).padding(1);
      const auto y = F::max_pool2d(half, options);
      const auto reference = F::max_pool2d(single, options);
      EXPECT_TRUE(at::equal(y.to(at::kFloat), reference));
      const auto g = torch::randn(y.sizes()).to(type);
      const auto runs = total_runs(kernels::max_pool_backward_ladder());
      y.backward(g);
      EXPECT_EQ(total_runs(kernels::max_pool_backward_ladder()), runs + 1);
      reference.backward(g.to(at::kFloat));
      EXPECT_TRUE(at::equal(half.grad(), single.grad().to(type)));
    }
  }
}

TEST(MaxPoolOverride, SecondDerivativesAreLibTorchs) {
  const OverrideTest on;
  const auto gradient_of_gradient = [](at::ScalarType type) {
    torch::manual_seed(3);
    const auto x = torch::randn({1, 3, 8, 8}).to(at::kHalf).to(type).requires_grad_();
    const auto y = at::max_pool2d(x, {2, 2}).pow(2);
    const auto g = torch::autograd::grad({y.sum()}, {x}, {}, true, true)[0];
    return torch::autograd::grad({g.pow(2).sum()}, {x})[0].to(at::kFloat);
  };
  EXPECT_TRUE(
      at::allclose(gradient_of_gradient(at::kHalf), gradient_of_gradient(at::kFloat), 1e-2, 1e-2));
}

TEST(MaxPoolOverride, ResultsDoNotDependOnThreads) {
  const OverrideTest on;
  const auto x = pool_input({2, 32, 40, 40}, at::kHalf, at::MemoryFormat::Contiguous);
  std::vector<torch::Tensor> gradients;
  for (int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    const auto leaf = x.detach().requires_grad_();
    at::max_pool2d(leaf, {3, 3}, {2, 2}, {1, 1}).to(at::kFloat).pow(2).sum().backward();
    gradients.push_back(leaf.grad());
  }
  EXPECT_TRUE(at::equal(gradients[0], gradients[1]));
  EXPECT_TRUE(at::equal(gradients[0], gradients[2]));
}

TEST(MaxPoolOverride, OtherCasesAndErrorsAreLibTorchs) {
  const OverrideTest on;
  const auto runs = total_runs(kernels::max_pool_ladder());
  const auto single = torch::randn({1, 4, 9, 9});
  const auto dilated = single.to(at::kHalf);
  for (const auto& x : {single, dilated}) {
    const auto run = [&] { return at::max_pool2d_with_indices(x, {3, 3}, {2, 2}, {1, 1}, {2, 2}); };
    EXPECT_TRUE(at::equal(std::get<0>(run()), std::get<0>(on.stock(run))));
  }
  for (IntArrayList kernel : {IntArrayList{3, 3, 3}, IntArrayList{20, 20}, IntArrayList{0, 0}}) {
    on.expect_same_error([&] { at::max_pool2d_with_indices(dilated, kernel); });
  }
  on.expect_same_error([&] { at::max_pool2d_with_indices(dilated, {2, 2}, {2, 2}, {2, 2}); });
  EXPECT_EQ(total_runs(kernels::max_pool_ladder()), runs);
}

}  // namespace
}  // namespace halftone
