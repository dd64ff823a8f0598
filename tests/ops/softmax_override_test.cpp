#include <torch/torch.h>

#include "halftone/kernels/softmax/softmax.h"
#include "tests/ops/override_support.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

using torch::Tensor;

Tensor softmax_form(const Tensor& x, bool log, std::int64_t dim = -1) {
  return log ? at::log_softmax(x, dim) : at::softmax(x, dim);
}

TEST(SoftmaxOverride, ValuesAndGradientsMatchFp64) {
  const OverrideTest on;
  for (bool log : {false, true}) {
    for (auto type : {at::kHalf, at::kBFloat16}) {
      const auto x = torch::randn({4, 6, 5, 37}).mul_(3).to(type);
      for (const auto& input : {x, x.transpose(1, 3), x.slice(3, 1, 30, 2),
                                x.contiguous(at::MemoryFormat::ChannelsLast)}) {
        const auto half = input.detach().requires_grad_();
        const auto exact = input.to(at::kDouble).detach().requires_grad_();
        const auto runs = total_runs(kernels::softmax_ladder());
        const auto backward_runs = total_runs(kernels::softmax_backward_ladder());
        const auto y = softmax_form(half, log);
        const auto g = torch::randn(y.sizes()).to(type);
        y.backward(g);
        EXPECT_EQ(total_runs(kernels::softmax_ladder()), runs + 1);
        EXPECT_EQ(total_runs(kernels::softmax_backward_ladder()), backward_runs + 1);
        EXPECT_EQ(y.strides(), on.stock([&] { return softmax_form(input, log); }).strides());
        const auto reference = softmax_form(exact, log);
        reference.backward(g.to(at::kDouble));
        // The gradient sees the rounding of the output twice.
        const double bound = type == at::kHalf ? 2 * tolerance::kFp16 : 2 * tolerance::kBf16;
        EXPECT_TRUE(at::allclose(y.to(at::kDouble), reference, bound, bound));
        EXPECT_TRUE(at::allclose(half.grad().to(at::kDouble), exact.grad(), bound, bound));
      }
    }
  }
}

TEST(SoftmaxOverride, CrossEntropyAndSecondDerivativesWork) {
  const OverrideTest on;
  const auto target = torch::randint(0, 10, {6}, at::kLong);
  const auto logits = torch::randn({6, 10}).to(at::kHalf);
  const auto both = [&](at::ScalarType type) {
    const auto x = logits.to(type).detach().requires_grad_();
    const auto loss = at::cross_entropy_loss(x, target);
    const auto g = torch::autograd::grad({loss}, {x}, {}, true, true)[0];
    const auto second = torch::autograd::grad({g.pow(2).sum()}, {x})[0];
    return torch::cat({g.flatten(), second.flatten()}).to(at::kDouble).detach();
  };
  EXPECT_TRUE(at::allclose(both(at::kHalf), both(at::kDouble), 1e-2, tolerance::kFp16));
}

TEST(SoftmaxOverride, ResultsDoNotDependOnThreads) {
  const OverrideTest on;
  const auto x = torch::randn({301, 333}).to(at::kBFloat16),
             g = torch::randn({301, 333}).to(at::kBFloat16);
  const auto y = at::softmax(x, 1);
  const auto dx = at::_softmax_backward_data(g, y, 1, at::kBFloat16);
  for (int threads : {2, 3}) {
    at::set_num_threads(threads);
    EXPECT_TRUE(at::equal(at::softmax(x, 1), y));
    EXPECT_TRUE(at::equal(at::_softmax_backward_data(g, y, 1, at::kBFloat16), dx));
  }
}

TEST(SoftmaxOverride, OtherCasesAndErrorsAreLibTorchs) {
  const OverrideTest on;
  const auto runs = total_runs(kernels::softmax_ladder());
  const auto half = torch::randn({6, 7}).to(at::kHalf);
  for (bool log : {false, true}) {
    const auto single = [&] { return softmax_form(half.to(at::kFloat), log); };
    const auto first_dimension = [&] { return softmax_form(half, log, 0); };
    const auto empty = [&] { return softmax_form(half.slice(0, 0, 0), log); };
    EXPECT_TRUE(at::equal(single(), on.stock(single)));
    EXPECT_TRUE(at::equal(first_dimension(), on.stock(first_dimension)));
    EXPECT_TRUE(at::equal(empty(), on.stock(empty)));
    on.expect_same_error([&] { softmax_form(half, log, 2); });
  }
  EXPECT_EQ(total_runs(kernels::softmax_ladder()), runs);
  on.expect_same_error([&] { at::_softmax_backward_data(half, half, 5, at::kHalf); });
}

}  // namespace
}  // namespace halftone
