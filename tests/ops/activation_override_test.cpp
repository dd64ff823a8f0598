#include <torch/torch.h>

#include <functional>

#include "halftone/kernels/activation/activation.h"
#include "tests/ops/override_support.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

using torch::Tensor;

struct NamedActivation {
  const char* name;
  std::function<Tensor(const Tensor&)> run;
};

const std::vector<NamedActivation>& activations() {
  static const std::vector<NamedActivation> list = {
      {"gelu", [](const Tensor& x) { return at::gelu(x); }},
      {"gelu tanh", [](const Tensor& x) { return at::gelu(x, "tanh"); }},
      {"silu", [](const Tensor& x) { return at::silu(x); }}};
  return list;
}

double half_tolerance(at::ScalarType type) {
  return type == at::kHalf ? tolerance::kFp16 : tolerance::kBf16;
}

TEST(ActivationOverride, ValuesAndGradientsMatchFp64) {
  const OverrideTest on;
  for (const auto& each : activations()) {
    for (auto type : {at::kHalf, at::kBFloat16}) {
      SCOPED_TRACE(each.name);
      const auto x = torch::randn({5, 3, 7, 9}).mul_(3).to(type);
      for (const auto& input :
           {x, x.contiguous(at::MemoryFormat::ChannelsLast), x.transpose(0, 3)}) {
        const auto half = input.detach().requires_grad_();
        const auto exact = input.to(at::kDouble).detach().requires_grad_();
        const auto runs = total_runs(kernels::activation_ladder());
        const auto backward_runs = total_runs(kernels::activation_backward_ladder());
        const auto y = each.run(half);
        EXPECT_EQ(y.strides(), input.strides());
        const auto g = torch::empty_like(y).normal_();
        y.backward(g);
        EXPECT_EQ(total_runs(kernels::activation_ladder()), runs + 1);
        EXPECT_EQ(total_runs(kernels::activation_backward_ladder()), backward_runs + 1);
        const auto reference = each.run(exact);
        reference.backward(g.to(at::kDouble));
        const double bound = half_tolerance(type);
        EXPECT_TRUE(at::allclose(y.to(at::kDouble), reference, bound, bound));
        EXPECT_TRUE(at::allclose(half.grad().to(at::kDouble), exact.grad(), bound, bound));
      }
    }
  }
}

TEST(ActivationOverride, InPlaceFormsGiveTheSameBits) {
  const OverrideTest on;
  const auto x = torch::randn({33}).to(at::kBFloat16);
  auto once = x.clone(), twice = x.clone();
  EXPECT_TRUE(at::equal(at::gelu_(once), at::gelu(x)));
  EXPECT_TRUE(at::equal(at::silu_(twice), at::silu(x)));
}

TEST(ActivationOverride, SecondDerivativesWork) {
  const OverrideTest on;
  for (const auto& each : activations()) {
    const auto second = [&](at::ScalarType type) {
      const auto x = torch::linspace(-2, 2, 16).to(at::kHalf).to(type).requires_grad_();
      const auto g = torch::autograd::grad({each.run(x).sum()}, {x}, {}, true, true)[0];
      return torch::autograd::grad({g.sum()}, {x})[0].to(at::kDouble);
    };
    EXPECT_TRUE(at::allclose(second(at::kHalf), second(at::kDouble), 2e-2, 1e-2)) << each.name;
  }
}

TEST(ActivationOverride, ResultsDoNotDependOnThreads) {
  const OverrideTest on;
  const auto x = torch::randn({100003}).to(at::kHalf), g = torch::randn({100003}).to(at::kHalf);
  const auto expected = at::gelu_backward(g, x);
  for (int threads : {2, 3}) {
    at::set_num_threads(threads);
    EXPECT_TRUE(at::equal(at::gelu_backward(g, x), expected));
  }
}

TEST(ActivationOverride, OtherCasesAndErrorsAreLibTorchs) {
  const OverrideTest on;
  const auto runs = total_runs(kernels::activation_ladder());
  const auto half = torch::randn({8, 8}).to(at::kHalf);
  for (const auto& x : {torch::randn({8, 8}), half.slice(1, 0, 8, 3), half.slice(0, 0, 0)}) {
    for (const auto& each : activations()) {
      const auto run = [&] { return each.run(x); };
      const auto own = run(), stock = on.stock(run);
      EXPECT_TRUE(at::equal(own, stock));
      EXPECT_EQ(own.strides(), stock.strides());
    }
  }
  EXPECT_EQ(total_runs(kernels::activation_ladder()), runs);
  on.expect_same_error([&] { at::gelu(half, "cosine"); });
}

}  // namespace
}  // namespace halftone
