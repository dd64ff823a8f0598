#include <torch/torch.h>

#include <limits>

#include "halftone/kernels/cross_entropy/cross_entropy.h"
#include "halftone/ops/cross_entropy.h"
#include "tests/ops/override_support.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

using torch::Tensor;

constexpr std::int64_t kIgnored = -100;

Tensor random_targets(at::IntArrayRef sizes, std::int64_t classes) {
  const auto target = torch::randint(0, classes, sizes, at::kLong);
  return target.masked_fill(torch::rand(sizes) < 0.2, kIgnored);
}

std::uint64_t cross_entropy_runs() { return total_runs(kernels::cross_entropy_ladder()); }

// Relative to the gradient's largest element.
void expect_close(const Tensor& own, const Tensor& exact, double bound) {
  const auto difference = (own.to(at::kDouble) - exact).abs().max().item<double>();
  EXPECT_LE(difference, bound * exact.abs().max().item<double>());
}

TEST(CrossEntropyOverride, LossAndGradientMatchFp64InEveryShapeAndReduction) {
  const OverrideTest on;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    const double bound = type == at::kHalf ? tolerance::kFp16 : tolerance::kBf16;
    for (std::int64_t reduction : {0, 1, 2}) {
      for (double smoothing : {0.0, 0.1}) {
        for (const auto& sizes : {IntArrayList{37}, {9, 37}, {2, 37, 4, 5}}) {
          auto x = torch::randn(sizes).mul_(3).to(type);
          if (x.dim() == 4 && reduction != 1) x = x.contiguous(at::MemoryFormat::ChannelsLast);
          auto shape = x.sizes().vec();
          shape.erase(shape.begin() + (x.dim() > 1 ? 1 : 0));
          const auto target = x.dim() == 1 ? torch::tensor(3) : random_targets(shape, 37);
          const auto half = x.detach().requires_grad_();
          const auto exact = x.to(at::kDouble).requires_grad_();
          const auto runs = cross_entropy_runs();
          const auto run = [&](const Tensor& logits) {
            return at::cross_entropy_loss(logits, target, {}, reduction, kIgnored, smoothing);
          };
          const auto loss = run(half), reference = run(exact);
          EXPECT_EQ(cross_entropy_runs(), runs + 1);
          EXPECT_EQ(loss.scalar_type(), type);
          const auto g = torch::rand(loss.sizes());
          loss.backward(g.to(type));
          reference.backward(g.to(type).to(at::kDouble));
          expect_close(loss, reference.detach(), bound);
          expect_close(half.grad(), exact.grad(), bound);
          EXPECT_EQ(half.grad().strides(), half.strides());
          EXPECT_EQ(loss.sizes(), reference.sizes());
        }
      }
    }
  }
}

TEST(CrossEntropyOverride, InFp32ItLosesNothingToTheFormat) {
  const OverrideTest on;
  const auto x = torch::randn({64, 1000}).to(at::kBFloat16);
  const auto target = random_targets({64}, 1000);
  const auto loss = ops::half_cross_entropy({x, target});
  ASSERT_EQ(loss.scalar_type(), at::kFloat);
  expect_close(loss, at::cross_entropy_loss(x.to(at::kDouble), target), tolerance::kFp32);
  const auto nothing = at::full({64}, kIgnored, at::kLong);
  EXPECT_TRUE(ops::half_cross_entropy({x, nothing}).isnan().item<bool>());  // as LibTorch
  EXPECT_EQ(ops::half_cross_entropy({x, nothing, at::Reduction::Sum}).item<float>(), 0);
}

TEST(CrossEntropyOverride, SecondDerivativesMatchFp64) {
  const OverrideTest on;
  const auto logits = torch::randn({6, 10}).to(at::kHalf);
  const auto target = torch::tensor({1L, 2L, kIgnored, 9L, 0L, 4L});
  const auto both = [&](at::ScalarType type) {
    const auto x = logits.to(type).detach().requires_grad_();
    const auto loss = at::cross_entropy_loss(x, target, {}, 1, kIgnored, 0.1);
    const auto g = torch::autograd::grad({loss}, {x}, {}, true, true)[0];
    const auto second = torch::autograd::grad({g.pow(2).sum()}, {x})[0];
    return torch::cat({g.flatten(), second.flatten()}).to(at::kDouble).detach();
  };
  const auto runs = cross_entropy_runs();
  EXPECT_TRUE(at::allclose(both(at::kHalf), both(at::kDouble), 1e-2, tolerance::kFp16));
  EXPECT_EQ(cross_entropy_runs(), runs + 1);
}

TEST(CrossEntropyOverride, IgnoredRowsGiveNoGradientWhateverTheyHold) {
  const OverrideTest on;
  auto x = torch::randn({3, 10}).to(at::kHalf);
  x[1].fill_(std::numeric_limits<float>::quiet_NaN());
  x.requires_grad_();
  const auto loss = at::cross_entropy_loss(x, torch::tensor({1L, kIgnored, 4L}));
  loss.backward();
  EXPECT_TRUE(loss.isfinite().item<bool>());
  EXPECT_TRUE(x.grad().isfinite().all().item<bool>());
  EXPECT_EQ(x.grad()[1].abs().sum().item<float>(), 0);
}

TEST(CrossEntropyOverride, OtherCasesAndErrorsAreLibTorchs) {
  const OverrideTest on;
  const auto runs = cross_entropy_runs();
  const auto half = torch::randn({6, 7}).to(at::kHalf);
  const auto target = torch::tensor({0, 1, 2, 3, 4, 5});
  const auto single = [&] { return at::cross_entropy_loss(half.to(at::kFloat), target); };
  const auto weighted = [&] {
    return at::cross_entropy_loss(half, target, torch::rand({7}).fill_(0.5).to(at::kHalf));
  };
  const auto probabilities = [&] { return at::cross_entropy_loss(half, half.softmax(1)); };
  EXPECT_TRUE(at::equal(single(), on.stock(single)));
  EXPECT_TRUE(at::allclose(weighted(), on.stock(weighted), tolerance::kFp16));
  EXPECT_TRUE(at::allclose(probabilities(), on.stock(probabilities), tolerance::kFp16));
  on.expect_same_error([&] { at::cross_entropy_loss(half, target + 2); });
  on.expect_same_error([&] { at::cross_entropy_loss(half, target - 1); });
  on.expect_same_error([&] { at::cross_entropy_loss(half, target.slice(0, 1)); });
  on.expect_same_error([&] { at::cross_entropy_loss(half, target.to(at::kInt)); });
  on.expect_same_error([&] { at::cross_entropy_loss(half, target, {}, 1, kIgnored, 2); });
  EXPECT_EQ(cross_entropy_runs(), runs);
}

TEST(CrossEntropyOverride, ResultsDoNotDependOnThreads) {
  const OverrideTest on;
  const auto x = torch::randn({301, 333}).to(at::kBFloat16);
  const auto target = random_targets({301}, 333);
  const auto run = [&] {
    const auto leaf = x.detach().requires_grad_();
    const auto loss = ops::half_cross_entropy({leaf, target});
    loss.backward();
    return std::make_pair(loss.detach(), leaf.grad());
  };
  const auto once = run();
  for (int threads : {2, 3}) {
    at::set_num_threads(threads);
    EXPECT_TRUE(at::equal(run().first, once.first));
    EXPECT_TRUE(at::equal(run().second, once.second));
  }
}

}  // namespace
}  // namespace halftone
