#include <torch/torch.h>

#include "halftone/kernels/embedding/embedding.h"
#include "tests/ops/override_support.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

TEST(EmbeddingOverride, GradientsMatchFp64) {
  const OverrideTest on;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    for (bool by_frequency : {false, true}) {
      const auto words = torch::randint(0, 30, {4, 50}, at::kLong).t();
      const auto g = torch::randn({50, 4, 37}).to(type);
      const auto half = torch::randn({30, 37}).to(type).requires_grad_();
      const auto exact = half.detach().to(at::kDouble).requires_grad_();
      const auto runs = total_runs(kernels::embedding_backward_ladder());
      at::embedding(half, words, 5, by_frequency).backward(g);
      EXPECT_EQ(total_runs(kernels::embedding_backward_ladder()), runs + 1);
      at::embedding(exact, words, 5, by_frequency).backward(g.to(at::kDouble));
      const double bound = type == at::kHalf ? tolerance::kFp16 : tolerance::kBf16;
      EXPECT_TRUE(at::allclose(half.grad().to(at::kDouble), exact.grad(), bound, bound));
    }
  }
}

// LibTorch's own sum in bf16 stops growing at 256.
TEST(EmbeddingOverride, ManyTokensOfOneWordAreSummedInFp32) {
  const OverrideTest on;
  const auto ones = torch::ones({1000, 3}, at::kBFloat16);
  const auto sum =
      at::embedding_dense_backward(ones, torch::zeros({1000}, at::kLong), 2, -1, false);
  EXPECT_TRUE(at::equal(sum[0], torch::full({3}, 1000, at::kBFloat16)));
  EXPECT_EQ(sum[1].abs().sum().item<double>(), 0);
}

TEST(EmbeddingOverride, ResultsDoNotDependOnThreads) {
  const OverrideTest on;
  const auto words = torch::randint(0, 3000, {500}, at::kLong);
  const auto g = torch::randn({500, 96}).to(at::kHalf);
  const auto expected = at::embedding_dense_backward(g, words, 3000, -1, false);
  for (int threads : {2, 3}) {
    at::set_num_threads(threads);
    EXPECT_TRUE(at::equal(at::embedding_dense_backward(g, words, 3000, -1, false), expected));
  }
}

TEST(EmbeddingOverride, OtherCasesAndErrorsAreLibTorchs) {
  const OverrideTest on;
  const auto runs = total_runs(kernels::embedding_backward_ladder());
  const auto words = torch::randint(0, 9, {20}, at::kLong);
  const auto g = torch::randn({20, 8});
  const auto single = [&] { return at::embedding_dense_backward(g, words, 9, -1, false); };
  const auto narrow = [&] {
    return at::embedding_dense_backward(g.to(at::kHalf), words.to(at::kInt), 9, -1, false);
  };
  EXPECT_TRUE(at::equal(single(), on.stock(single)));
  EXPECT_TRUE(at::equal(narrow(), on.stock(narrow)));
  on.expect_same_error(
      [&] { at::embedding_dense_backward(g.to(at::kHalf), words.to(at::kFloat), 9, -1, false); });
  EXPECT_EQ(total_runs(kernels::embedding_backward_ladder()), runs);
}

}  // namespace
}  // namespace halftone
