#include "halftone/kernels/elementwise/elementwise.h"

#include <torch/torch.h>

#include <functional>
#include <limits>
#include <vector>

#include "tests/ops/override_support.h"

namespace halftone {
namespace {

using torch::Tensor;

std::vector<Tensor> layouts_of(const Tensor& x) {
  return {x, x.contiguous(at::MemoryFormat::ChannelsLast), x.transpose(0, 3)};
}

Tensor with_specials(at::ScalarType type) {
  auto x = torch::randn({5, 3, 7, 9});
  x.view(-1)[3] = std::numeric_limits<float>::quiet_NaN();
  x.view(-1)[4] = -std::numeric_limits<float>::infinity();
  x.view(-1)[5] = -0.0f;
  return x.to(type);
}

bool same_values(const Tensor& a, const Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.strides() == b.strides() &&
         at::allclose(a.to(at::kFloat), b.to(at::kFloat), 0, 0, /*equal_nan=*/true);
}

TEST(ElementwiseOverride, ReluAndItsGradientAreLibTorchs) {
  const OverrideTest on;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    for (const auto& x : layouts_of(with_specials(type))) {
      const auto g = at::randn_like(x);
      const auto runs = total_runs(kernels::relu_ladder());
      const auto backward_runs = total_runs(kernels::relu_backward_ladder());
      const auto pass = [&] {
        const auto leaf = x.detach().requires_grad_();
        const auto y = at::relu(leaf);
        y.backward(g);
        return std::vector<Tensor>{y, leaf.grad(), x.detach().clone().relu_()};
      };
      const auto own = pass();
      EXPECT_EQ(total_runs(kernels::relu_ladder()), runs + 2);
      EXPECT_EQ(total_runs(kernels::relu_backward_ladder()), backward_runs + 1);
      const auto stock = on.stock(pass);
      for (std::size_t i = 0; i < own.size(); ++i) EXPECT_TRUE(same_values(own[i], stock[i])) << i;
    }
  }
}

TEST(ElementwiseOverride, AddIsLibTorchs) {
  const OverrideTest on;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    for (const auto& x : layouts_of(with_specials(type))) {
      const auto other = at::randn_like(x);
      const auto runs = total_runs(kernels::add_ladder());
      const auto pass = [&] {
        auto twice = x.clone();
        return std::vector<Tensor>{at::add(x, other), at::sub(x, other), x.clone().add_(other, 2),
                                   twice.add_(twice)};
      };
      const auto own = pass();
      EXPECT_EQ(total_runs(kernels::add_ladder()), runs + 3);  // sub is LibTorch's
      const auto stock = on.stock(pass);
      for (std::size_t i = 0; i < own.size(); ++i) EXPECT_TRUE(same_values(own[i], stock[i])) << i;
    }
  }
}

TEST(ElementwiseOverride, GradientsOfASumAreLibTorchs) {
  const OverrideTest on;
  const auto pass = [] {
    torch::manual_seed(7);
    const auto a = torch::randn({4, 8}).to(at::kHalf).requires_grad_();
    const auto y = at::add(at::relu(a), at::add(a, a, 3));
    (y * y).sum().backward();
    return a.grad();
  };
  EXPECT_TRUE(same_values(pass(), on.stock(pass)));
}

TEST(ElementwiseOverride, OtherCasesAreLibTorchs) {
  const OverrideTest on;
  const auto half = torch::randn({8, 8}).to(at::kHalf);
  const std::vector<std::function<Tensor()>> cases = {
      [&] { return at::relu(half.slice(1, 0, 8, 3)); },
      [&] { return at::relu(half.slice(0, 0, 0)); },
      [&] { return at::relu(half.to(at::kFloat)); },
      [&] { return at::threshold_backward(half, half, 0.5); },
      [&] { return at::threshold_backward(half.t(), half, 0); },
      [&] { return at::add(half, half[0]); },
      [&] { return at::add(half, half.t()); },
      [&] { return at::add(half, half.to(at::kFloat)); },
      [&] { return at::add(half, half.to(at::kBFloat16)); },
      [&] { return half + 2; },
      [&] { return at::add(half.to(at::kInt), half.to(at::kInt), 3); }};
  const auto total = [] {
    return total_runs(kernels::relu_ladder()) + total_runs(kernels::relu_backward_ladder()) +
           total_runs(kernels::add_ladder());
  };
  const auto runs = total();
  for (std::size_t i = 0; i < cases.size(); ++i) {
    EXPECT_TRUE(same_values(cases[i](), on.stock(cases[i]))) << i;
  }
  EXPECT_EQ(total(), runs);
}

TEST(ElementwiseOverride, ErrorsAreLibTorchs) {
  const OverrideTest on;
  const auto half = torch::randn({8, 8}).to(at::kHalf);
  auto line = torch::randn({9}).to(at::kHalf);
  on.expect_same_error([&] { at::add(half, half, c10::complex<double>(0, 1)); });
  on.expect_same_error([&] { at::add(half, half, true); });
  on.expect_same_error([&] { at::add(half, half.slice(0, 0, 3)); });
  on.expect_same_error([&] { line.slice(0, 0, 8).add_(line.slice(0, 1, 9)); });  // overlap in part
  on.expect_same_error([&] { line.expand({2, 9}).relu_(); });
}

TEST(ElementwiseOverride, ResultsDoNotDependOnThreads) {
  const OverrideTest on;
  const auto x = torch::randn({100003}).to(at::kBFloat16), g = x.flip(0);
  const auto pass = [&] {
    return at::cat({at::relu(x), at::threshold_backward(g, x, 0), at::add(x, g)});
  };
  const auto expected = pass();
  for (int threads : {2, 3}) {
    at::set_num_threads(threads);
    EXPECT_TRUE(at::equal(pass(), expected));
  }
}

}  // namespace
}  // namespace halftone
