#include <torch/torch.h>

#include "halftone/kernels/attention/attention.h"
#include "tests/ops/override_support.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

using at::Tensor;

double attention_error(const Tensor& got, const Tensor& exact) {
  return ((got.to(at::kDouble) - exact).norm() / exact.norm()).item<double>();
}

double product_error(at::ScalarType type) {
  return type == at::kHalf ? tolerance::kProductFp16 : tolerance::kProductBf16;
}

std::uint64_t forward_runs() { return total_runs(kernels::attention_ladder()); }
std::uint64_t backward_runs() { return total_runs(kernels::attention_backward_ladder()); }

// A query, key and value that require gradients, and their copies in fp64.
struct AttentionLeaves {
  explicit AttentionLeaves(std::vector<Tensor> tensors) : half(std::move(tensors)) {
    for (Tensor& each : half) {
      each.requires_grad_();
      exact.push_back(each.detach().to(at::kDouble).requires_grad_());
    }
  }
  std::vector<Tensor> half, exact;
};

// Values and gradients against fp64, and that both kernels ran once.
void expect_attends(AttentionLeaves leaves, const std::optional<Tensor>& mask, bool causal,
                    bool grouped = false) {
  const auto attend = [&](const std::vector<Tensor>& qkv) {
    auto added = mask;
    if (mask && mask->is_floating_point() && qkv[0].scalar_type() == at::kDouble) {
      added = mask->to(at::kDouble);
    }
    return at::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], added, 0, causal, std::nullopt,
                                            grouped);
  };
  const auto forward = forward_runs(), backward = backward_runs();
  const auto y = attend(leaves.half);
  const auto exact = attend(leaves.exact);
  const auto g = torch::randn(y.sizes()).to(y.scalar_type());
  y.backward(g);
  EXPECT_EQ(forward_runs(), forward + 1);
  EXPECT_EQ(backward_runs(), backward + 1);
  exact.backward(g.to(at::kDouble));
  EXPECT_EQ(y.scalar_type(), leaves.half[0].scalar_type());
  const double unit = product_error(y.scalar_type());
  EXPECT_LE(attention_error(y, exact), tolerance::kAttention * unit);
  // On random data the terms of the gradients hardly cancel.
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_LE(attention_error(leaves.half[i].grad(), leaves.exact[i].grad()),
              1.5 * tolerance::kAttentionGradient * unit)
        << "qkv"[i];
  }
}

TEST(AttentionOverride, ValuesAndGradientsMatchFp64WithAndWithoutMasks) {
  const OverrideTest on;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    const auto leaves = [&] {
      const auto make = [&](std::int64_t rows) { return torch::randn({2, 3, rows, 16}).to(type); };
      return AttentionLeaves({make(40), make(37), make(37)});
    };
    expect_attends(leaves(), std::nullopt, false);
    expect_attends(leaves(), std::nullopt, true);
    expect_attends(leaves(), torch::randn({40, 37}).to(type), false);
    expect_attends(leaves(), torch::randn({2, 1, 40, 37}).to(type), false);
    expect_attends(
        leaves(),
        torch::randn({2, 3, 40, 37}).to(type).transpose(0, 1).contiguous().transpose(0, 1), false);
    expect_attends(leaves(), torch::rand({2, 1, 1, 37}) < 0.7, false);
    expect_attends(leaves(), torch::randn({40, 1}).to(type).expand({40, 37}), false);
  }
}

TEST(AttentionOverride, ViewsOfAProjectionAndSharedKeyHeads) {
  const OverrideTest on;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    const auto qkv = torch::randn({2, 50, 3, 4, 24}).to(type).permute({2, 0, 3, 1, 4});
    expect_attends(AttentionLeaves({qkv[0].detach(), qkv[1].detach(), qkv[2].detach()}),
                   std::nullopt, true);
    const auto make = [&](std::int64_t heads) { return torch::randn({2, heads, 21, 8}).to(type); };
    expect_attends(AttentionLeaves({make(6), make(2), make(2)}), std::nullopt, false, true);
  }
}

// As LibTorch's kernel is called; other settings than scaled_dot_product_attention gives.
std::tuple<Tensor, Tensor> flash(const Tensor& q, const Tensor& k, const Tensor& v, bool causal,
                                 const std::optional<Tensor>& mask = std::nullopt,
                                 double dropout = 0) {
  return at::_scaled_dot_product_flash_attention_for_cpu(q, k, v, dropout, causal, mask, 0.3);
}

TEST(AttentionOverride, EitherBackwardTakesTheOthersForward) {
  const OverrideTest on;
  const auto mask = torch::randn({2, 1, 30, 20});
  mask.select(2, 4).fill_(-INFINITY);
  for (auto type : {at::kHalf, at::kBFloat16}) {
    const auto q = torch::randn({2, 30, 3, 16}).to(type).transpose(1, 2);
    const auto k = torch::randn({2, 3, 20, 16}).to(type), v = torch::randn({2, 3, 20, 16}).to(type);
    const auto g = torch::randn({2, 3, 30, 16}).to(type);
    const auto forward = [&] { return flash(q, k, v, false, mask); };
    const auto own = forward(), other = on.stock(forward);
    EXPECT_EQ(std::get<0>(own).strides(), std::get<0>(other).strides());
    EXPECT_EQ(std::get<1>(own).strides(), std::get<1>(other).strides());
    EXPECT_TRUE(at::allclose(std::get<1>(own), std::get<1>(other), 1e-4, 1e-4));
    EXPECT_EQ(std::get<0>(own).select(2, 4).abs().max().item<float>(), 0);
    const auto backward = [&](const std::tuple<Tensor, Tensor>& from) {
      const auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
          g, q, k, v, std::get<0>(from), std::get<1>(from), 0, false, mask, 0.3);
      return std::vector<Tensor>{dq, dk, dv};
    };
    const auto expected = on.stock([&] { return backward(other); });
    const auto crossed = on.stock([&] { return backward(own); }), taken = backward(other);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(taken[i].strides(), expected[i].strides());
      // LibTorch adds up its fp16 and bf16 gradients in half, block by block.
      const double bound = 4 * product_error(type);
      EXPECT_LE(attention_error(taken[i], expected[i].to(at::kDouble)), bound);
      EXPECT_LE(attention_error(crossed[i], expected[i].to(at::kDouble)), bound);
    }
  }
}

TEST(AttentionOverride, ResultsDoNotDependOnThreads) {
  const OverrideTest on;
  const auto q = torch::randn({1, 3, 200, 32}).to(at::kBFloat16).requires_grad_();
  const auto run = [&] {
    q.mutable_grad() = Tensor();
    const auto y = at::scaled_dot_product_attention(q, q, q, {}, 0, true);
    y.backward(y.detach());
    return torch::cat({y.detach(), q.grad()});
  };
  const auto once = run();
  for (int threads : {2, 3}) {
    at::set_num_threads(threads);
    EXPECT_TRUE(at::equal(run(), once));
  }
}

TEST(AttentionOverride, OtherCasesAndErrorsAreLibTorchs) {
  const OverrideTest on;
  const auto runs = forward_runs();
  const auto single = torch::randn({1, 2, 9, 8});
  const auto wide = torch::randn({1, 2, 9, 300}).to(at::kBFloat16);
  for (const auto& q : {single, wide}) {
    const auto run = [&] { return std::get<0>(flash(q, q, q, true)); };
    EXPECT_TRUE(at::equal(run(), on.stock(run)));
  }
  // fp16 as wide goes through fp32: LibTorch multiplies fp16 without vectors.
  const auto half = torch::randn({1, 2, 9, 300}).to(at::kHalf);
  EXPECT_LE(attention_error(std::get<0>(flash(half, half, half, false)),
                            std::get<0>(flash(half.to(at::kDouble), half.to(at::kDouble),
                                              half.to(at::kDouble), false))),
            tolerance::kProductFp16);
  const auto q = torch::randn({1, 2, 9, 8}).to(at::kBFloat16);
  on.expect_same_error([&] { flash(q, q, q, false, {}, 0.5); });
  on.expect_same_error([&] { flash(q, q.slice(3, 0, 4), q, false); });
  on.expect_same_error([&] { flash(q, q, q, false, torch::ones({9, 9}, at::kBool)); });
  on.expect_same_error([&] { flash(q, q, q, false, torch::zeros({5, 9})); });
  on.expect_same_error([&] { flash(q, q.to(at::kFloat), q, false); });
  on.expect_same_error([&] { flash(q[0], q[0], q[0], false); });
  EXPECT_EQ(forward_runs(), runs);
}

}  // namespace
}  // namespace halftone
