#include <ATen/CPUGeneratorImpl.h>
#include <torch/torch.h>

#include <cmath>

#include "halftone/kernels/bernoulli/bernoulli.h"
#include "tests/ops/override_support.h"

namespace halftone {
namespace {

TEST(BernoulliOverride, DropoutKeepsTheShareAndTheScale) {
  const OverrideTest on;
  torch::manual_seed(1);
  for (auto type : {at::kHalf, at::kBFloat16}) {
    const auto x = torch::ones({200, 500}, type).requires_grad_();
    const auto runs = total_runs(kernels::bernoulli_ladder());
    const auto y = at::dropout(x, 0.25, true);
    EXPECT_EQ(total_runs(kernels::bernoulli_ladder()), runs + 1);
    const double kept = (y != 0).to(at::kDouble).mean().item<double>();
    EXPECT_NEAR(kept, 0.75, 5 * std::sqrt(0.75 * 0.25 / 1e5));
    EXPECT_NEAR(y.max().item<double>(), 1 / 0.75, 1e-2);
    y.sum().backward();
    EXPECT_TRUE(at::equal(x.grad(), y.detach()));
  }
}

TEST(BernoulliOverride, SeedsAndGeneratorsReproduceMasks) {
  const OverrideTest on;
  const auto mask = [](std::optional<at::Generator> generator = {}) {
    return torch::empty({1000}, at::kBFloat16).bernoulli_(0.5, generator);
  };
  torch::manual_seed(5);
  const auto first = mask(), second = mask();
  EXPECT_FALSE(at::equal(first, second));
  torch::manual_seed(5);
  EXPECT_TRUE(at::equal(mask(), first));
  EXPECT_TRUE(at::equal(mask(), second));
  auto generator = at::detail::createCPUGenerator(5);
  EXPECT_TRUE(at::equal(mask(generator), first));
  for (int threads : {2, 3}) {
    at::set_num_threads(threads);
    torch::manual_seed(9);
    const auto large = torch::empty({100000}, at::kHalf).bernoulli_(0.3);
    at::set_num_threads(1);
    torch::manual_seed(9);
    EXPECT_TRUE(at::equal(torch::empty({100000}, at::kHalf).bernoulli_(0.3), large));
  }
}

TEST(BernoulliOverride, OtherCasesAndErrorsAreLibTorchs) {
  const OverrideTest on;
  const auto runs = total_runs(kernels::bernoulli_ladder());
  const auto seeded = [](at::ScalarType type, double p) {
    torch::manual_seed(3);
    return torch::empty({10, 10}, type).slice(1, 0, 9, 2).bernoulli_(p);
  };
  for (auto type : {at::kFloat, at::kHalf}) {
    const auto run = [&] { return seeded(type, 0.5); };
    EXPECT_TRUE(at::equal(run(), on.stock(run)));
  }
  torch::manual_seed(3);
  const auto single = torch::empty({100}).bernoulli_(0.4);
  EXPECT_TRUE(at::equal(single, on.stock([] {
    torch::manual_seed(3);
    return torch::empty({100}).bernoulli_(0.4);
  })));
  EXPECT_EQ(torch::empty({7}, at::kHalf).bernoulli_(1.0).sum().item<double>(), 7);
  EXPECT_EQ(torch::empty({7}, at::kHalf).bernoulli_(0.0).sum().item<double>(), 0);
  EXPECT_EQ(total_runs(kernels::bernoulli_ladder()), runs);
  on.expect_same_error([] { torch::empty({7}, at::kHalf).bernoulli_(1.5); });
}

}  // namespace
}  // namespace halftone
