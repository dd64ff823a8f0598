#include <torch/torch.h>

#include "halftone/kernels/group_norm/group_norm.h"
#include "tests/ops/override_support.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

struct GroupNormInputs {
  torch::Tensor x, weight, bias;
};

GroupNormInputs group_norm_inputs(at::ScalarType type, at::ScalarType parameters,
                                  at::MemoryFormat format) {
  torch::manual_seed(1);
  return {torch::randn({3, 12, 5, 6}).to(type).contiguous(format).detach().requires_grad_(),
          torch::rand({12}).add(0.5).to(parameters).detach().requires_grad_(),
          torch::randn({12}).to(parameters).detach().requires_grad_()};
}

GroupNormInputs converted(const GroupNormInputs& in, at::ScalarType type) {
  return {in.x.detach().to(type).requires_grad_(), in.weight.detach().to(type).requires_grad_(),
          in.bias.detach().to(type).requires_grad_()};
}

std::vector<torch::Tensor> group_norm_results(const GroupNormInputs& in, const torch::Tensor& dy) {
  const auto y = at::group_norm(in.x, 4, in.weight, in.bias, 1e-5);
  auto results = torch::autograd::grad({y}, {in.x, in.weight, in.bias}, {dy});
  results.push_back(y);
  return results;
}

TEST(GroupNormOverride, MatchesFp64AndHasLibTorchsTypes) {
  const OverrideTest on;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    for (auto parameters : {at::kFloat, type}) {
      for (auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
        const auto in = group_norm_inputs(type, parameters, format);
        const auto dy = torch::randn({3, 12, 5, 6}).to(type);
        const auto runs = total_runs(kernels::group_norm_forward_ladder()) +
                          total_runs(kernels::group_norm_backward_ladder());
        const auto found = group_norm_results(in, dy);
        EXPECT_EQ(total_runs(kernels::group_norm_forward_ladder()) +
                      total_runs(kernels::group_norm_backward_ladder()),
                  runs + 2);
        const auto exact = group_norm_results(converted(in, at::kDouble), dy.to(at::kDouble));
        const auto stock = on.stock([&] { return group_norm_results(in, dy); });
        // With half parameters LibTorch keeps mean and invstd in half: two roundings more.
        const double tolerance = (parameters == type ? 3 : 1) *
                                 (type == at::kHalf ? tolerance::kFp16 : tolerance::kBf16);
        for (std::size_t i = 0; i < found.size(); ++i) {
          EXPECT_TRUE(at::allclose(found[i].to(at::kDouble), exact[i], tolerance, tolerance)) << i;
          EXPECT_EQ(found[i].scalar_type(), stock[i].scalar_type());
          EXPECT_EQ(found[i].strides(), stock[i].strides());
        }
      }
    }
  }
}

TEST(GroupNormOverride, SecondDerivativesAreLibTorchs) {
  const OverrideTest on;
  const auto gradient_of_gradient = [](at::ScalarType type) {
    torch::manual_seed(3);
    const auto x = torch::randn({2, 6, 5, 5}).to(at::kHalf).to(type).requires_grad_();
    const auto w = torch::ones({6}, type == at::kHalf ? at::kFloat : type);
    const auto y = at::group_norm(x, 3, w, w, 1e-5).pow(2);
    const auto g = torch::autograd::grad({y.sum()}, {x}, {}, true, true)[0];
    return torch::autograd::grad({g.pow(2).sum()}, {x})[0].to(at::kDouble);
  };
  EXPECT_TRUE(at::allclose(gradient_of_gradient(at::kHalf), gradient_of_gradient(at::kDouble),
                           5 * tolerance::kFp16, 10 * tolerance::kFp16));
}

TEST(GroupNormOverride, Fp32AndErrorsAreLibTorchs) {
  const OverrideTest on;
  const auto in = group_norm_inputs(at::kFloat, at::kFloat, at::MemoryFormat::ChannelsLast);
  const auto dy = torch::randn({3, 12, 5, 6});
  const auto found = group_norm_results(in, dy);
  const auto stock = on.stock([&] { return group_norm_results(in, dy); });
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(at::equal(found[i], stock[i]));

  const auto x = in.x.detach().to(at::kHalf);
  const auto wide = torch::ones({12}), half = wide.to(at::kHalf);
  on.expect_same_error([&] { at::group_norm(x, 5, wide, wide); });
  on.expect_same_error([&] { at::group_norm(x, 4, torch::ones({11}), wide); });
  on.expect_same_error([&] { at::group_norm(x, 4, wide, half); });
#if TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR < 14  // later ones take it
  on.expect_same_error(
      [&] { at::native_group_norm(x.transpose(0, 1), {}, {}, 12, 3, 30, 1, 1e-5); });
#endif
}

}  // namespace
}  // namespace halftone
