#include <torch/torch.h>

#include "tests/ops/override_support.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

double attention_error(const at::Tensor& got, const at::Tensor& exact) {
  return ((got.to(at::kDouble) - exact).norm() / exact.norm()).item<double>();
}

TEST(AttentionOverride, Fp16MatchesFp64WithAndWithoutMasks) {
  const OverrideTest on;
  for (bool causal : {false, true}) {
    for (bool masked : {false, true}) {
      if (causal && masked) continue;
      const auto make = [] { return torch::randn({2, 3, 20, 16}).to(at::kHalf).requires_grad_(); };
      const auto q = make(), k = make(), v = make();
      const auto mask = torch::randn({20, 20}).to(at::kHalf);
      const auto attend = [&](const at::Tensor& query, const at::Tensor& key,
                              const at::Tensor& value) {
        const std::optional<at::Tensor> added =
            masked ? std::optional(mask.to(query.scalar_type())) : std::nullopt;
        return at::scaled_dot_product_attention(query, key, value, added, 0, causal);
      };
      const auto exact_of = [](const at::Tensor& tensor) {
        return tensor.detach().to(at::kDouble).requires_grad_();
      };
      const auto qd = exact_of(q), kd = exact_of(k), vd = exact_of(v);
      const auto y = attend(q, k, v), exact = attend(qd, kd, vd);
      EXPECT_EQ(y.scalar_type(), at::kHalf);
      const auto g = torch::randn(y.sizes()).to(at::kHalf);
      y.backward(g);
      exact.backward(g.to(at::kDouble));
      // The output's rounding; backward starts from the rounded output.
      EXPECT_LE(attention_error(y, exact), 1.5 * tolerance::kProductFp16);
      EXPECT_LE(attention_error(q.grad(), qd.grad()), 4 * tolerance::kProductFp16);
      EXPECT_LE(attention_error(k.grad(), kd.grad()), 4 * tolerance::kProductFp16);
      EXPECT_LE(attention_error(v.grad(), vd.grad()), 4 * tolerance::kProductFp16);
    }
  }
}

TEST(AttentionOverride, OtherFormatsAreLibTorchs) {
  const OverrideTest on;
  for (auto type : {at::kFloat, at::kBFloat16}) {
    const auto q = torch::randn({1, 2, 9, 8}).to(type);
    const auto run = [&] { return at::scaled_dot_product_attention(q, q, q); };
    EXPECT_TRUE(at::equal(run(), on.stock(run)));
  }
}

}  // namespace
}  // namespace halftone
