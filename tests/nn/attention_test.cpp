#include "halftone/nn/attention.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <functional>
#include <limits>
#include <vector>

#include "halftone/base/workspace.h"
#include "halftone/kernels/attention/attention.h"
#include "halftone/ops/memory.h"
#include "halftone/precision/autocast.h"
#include "tests/ops/override_support.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::nn {
namespace {

using at::Tensor;
using Tensors = std::vector<Tensor>;

constexpr std::int64_t kHeads = 3, kWidth = 48;

// The projections of one call, and how a call of one, two or three is written.
Tensors projections(std::size_t count, at::ScalarType type, std::int64_t rows, std::int64_t keys) {
  torch::manual_seed(11);
  const auto of = [&](std::int64_t length, std::int64_t parts) {
    return torch::randn({2, length, parts * kWidth}).to(type).requires_grad_();
  };
  if (count == 1) return {of(rows, 3)};
  if (count == 2) return {of(rows, 1), of(keys, 2)};
  return {of(rows, 1), of(keys, 1), of(keys, 1)};
}

Tensor run_block(const Tensors& p, const AttentionOptions& o) {
  return p.size() == 1   ? attention(p[0], o)
         : p.size() == 2 ? attention(p[0], p[1], o)
                         : attention(p[0], p[1], p[2], o);
}

// The operation of LibTorch's on the same projections.
Tensor run_plain(const Tensors& p, const AttentionOptions& o) {
  Tensors parts;
  for (const Tensor& each : p) {
    for (const Tensor& part : each.split(kWidth, 2)) {
      parts.push_back(part.unflatten(2, {o.heads, -1}).transpose(1, 2));
    }
  }
  const auto bias =
      o.bias.defined() ? std::optional(o.bias.to(parts[0].scalar_type())) : std::nullopt;
  return at::scaled_dot_product_attention(parts[0], parts[1], parts[2], bias, 0, o.causal)
      .transpose(1, 2)
      .flatten(2);
}

Tensors result_and_gradients(const Tensors& p, const std::function<Tensor(const Tensors&)>& run) {
  const Tensor y = run(p);
  torch::manual_seed(12);
  Tensors all = torch::autograd::grad({y}, p, {torch::randn(y.sizes()).to(y.scalar_type())});
  all.insert(all.begin(), y.detach());
  return all;
}

std::vector<AttentionOptions> settings(std::int64_t keys) {
  Tensor padding = torch::zeros({2, 1, 1, keys});
  padding.slice(3, keys - 3).fill_(-std::numeric_limits<float>::infinity());
  return {{kHeads}, {kHeads, /*causal=*/true}, {kHeads, false, padding}};
}

double relative_error(const Tensor& got, const Tensor& exact) {
  return ((got.to(at::kDouble) - exact).norm() / exact.norm()).item<double>();
}

TEST(AttentionBlock, GivesTheBitsOfTheOperationWithTheSameKernel) {
  const OverrideTest on;
  for (int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    for (auto type : {at::kHalf, at::kBFloat16, at::kFloat}) {
      for (std::size_t count : {1, 2, 3}) {
        const std::int64_t rows = 37, keys = count == 1 ? rows : 50;
        for (const AttentionOptions& o : settings(keys)) {
          const Tensors p = projections(count, type, rows, keys);
          const auto own = result_and_gradients(p, [&](const auto& x) { return run_block(x, o); });
          const auto plain =
              result_and_gradients(p, [&](const auto& x) { return run_plain(x, o); });
          for (std::size_t i = 0; i < own.size(); ++i) {
            EXPECT_TRUE(at::equal(own[i], plain[i])) << type << ", " << count << ", " << i;
            EXPECT_TRUE(own[i].is_contiguous());
          }
        }
      }
    }
  }
}

TEST(AttentionBlock, RunsTheKernelsWithoutTheOverridesAndMatchesFp64) {
  for (auto type : {at::kHalf, at::kBFloat16}) {
    const double unit = type == at::kHalf ? tolerance::kProductFp16 : tolerance::kProductBf16;
    for (std::size_t count : {1, 2, 3}) {
      for (const AttentionOptions& o : settings(40)) {
        const Tensors p = projections(count, type, 40, 40);
        Tensors wide;
        for (const Tensor& each : p) {
          wide.push_back(each.detach().to(at::kDouble).requires_grad_());
        }
        const auto forward = total_runs(kernels::attention_ladder()),
                   backward = total_runs(kernels::attention_backward_ladder());
        const auto own = result_and_gradients(p, [&](const auto& x) { return run_block(x, o); });
        EXPECT_EQ(total_runs(kernels::attention_ladder()), forward + 1);
        EXPECT_EQ(total_runs(kernels::attention_backward_ladder()), backward + 1);
        torch::manual_seed(12);
        const Tensor y = run_block(wide, o), g = torch::randn(y.sizes()).to(type);
        auto exact = torch::autograd::grad({y}, wide, {g.to(at::kDouble)});
        exact.insert(exact.begin(), y.detach());
        // The gradients of query, key and value side by side, each of its own size.
        const double allowed[] = {tolerance::kAttention, 1.5 * tolerance::kAttentionGradient};
        for (std::size_t i = 0; i < own.size(); ++i) {
          EXPECT_LE(relative_error(own[i], exact[i]), allowed[i > 0] * unit) << count << ", " << i;
        }
      }
    }
  }
}

// Of the operation on a packed projection each part's gradient is filled up with zeros and added.
TEST(AttentionBlock, KeepsNoMoreThanItSaysAndWritesOneGradient) {
  const OverrideTest on;
  const Tensors p = projections(1, at::kHalf, 256, 256);
  const std::int64_t bytes = p[0].numel() * 2, result = bytes / 3, sums = 2 * kHeads * 256 * 4;
  const auto peak_of = [&](const std::function<void()>& run) {
    run();  // kernels' workspaces are there now, as are blocks of the right sizes
    memory::install_counting_allocator();
    memory::reset_peak();
    const std::int64_t before = memory::current_tensor_bytes();
    run();
    const std::int64_t peak = memory::peak_tensor_bytes() - before;
    memory::uninstall_counting_allocator();
    return peak;
  };
  constexpr double kSlack = 1.13;  // the caching allocator's 1/8
  Tensor y;
  const auto made = peak_of([&] {
    y = Tensor();
    y = attention(p[0], {kHeads, true});
  });
  EXPECT_LE(made, kSlack * (result + sums));
  const Tensor g = torch::ones_like(y);
  const auto more =
      peak_of([&] { torch::autograd::grad({y}, {p[0]}, {g}, /*retain_graph=*/true); });
  EXPECT_LE(more, kSlack * bytes);
}

TEST(AttentionBlock, SecondDerivativesAreThoseOfTheOperations) {
  const OverrideTest on;
  const AttentionOptions o{kHeads, true};
  for (auto type : {at::kBFloat16, at::kHalf}) {
    const auto penalty = [&](const Tensors& p) {
      const Tensor y = run_block(p, o);
      const auto first = torch::autograd::grad({y.square().sum()}, p, {}, true, true)[0];
      return torch::autograd::grad({first.square().sum()}, p)[0];
    };
    const Tensors p = projections(1, type, 9, 9);
    const Tensor wide = p[0].detach().to(at::kDouble).requires_grad_();
    const auto exact = [&] {
      const Tensor y = std::get<0>(at::_scaled_dot_product_attention_math(
          wide.slice(2, 0, kWidth).unflatten(2, {kHeads, -1}).transpose(1, 2),
          wide.slice(2, kWidth, 2 * kWidth).unflatten(2, {kHeads, -1}).transpose(1, 2),
          wide.slice(2, 2 * kWidth).unflatten(2, {kHeads, -1}).transpose(1, 2), {}, 0, true));
      const auto first = torch::autograd::grad({y.square().sum()}, {wide}, {}, true, true)[0];
      return torch::autograd::grad({first.square().sum()}, {wide})[0];
    }();
    const double unit = type == at::kHalf ? tolerance::kFp16 : tolerance::kBf16;
    EXPECT_LE(relative_error(penalty(p), exact), 3 * unit) << type;  // of nine products, sqrt(9)
  }
}

TEST(AttentionBlock, UnderAutocastAndWithoutGradientsItIsTheSame) {
  const OverrideTest on;
  const Tensors p = projections(1, at::kHalf, 33, 33);
  const Tensor y = attention(p[0], {kHeads});
  {
    const Autocast autocast(Policy::preset("fp16"));
    const Tensor under = attention(p[0], {kHeads});
    EXPECT_TRUE(at::equal(under, y));
    EXPECT_TRUE(torch::autograd::grad({under.sum()}, {p[0]})[0].isfinite().all().item<bool>());
  }
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(attention(p[0], {kHeads}), y));
}

TEST(AttentionBlock, APolicysRuleForAttentionHolds) {
  const OverrideTest on;
  auto policy = Policy::preset("fp16");
  policy.operations = {{"scaled_dot_product_attention", Format::fp32}};
  const Autocast autocast(policy);
  const Tensors p = projections(1, at::kHalf, 33, 33);
  EXPECT_EQ(attention(p[0], {kHeads}).scalar_type(), at::kFloat);
}

TEST(AttentionBlock, ErrorsAreLibTorchs) {
  const OverrideTest on;
  const auto half = [](at::IntArrayRef sizes) { return torch::randn(sizes).to(at::kHalf); };
  EXPECT_THROW(attention(half({2, 5, 3 * kWidth}), {7}), c10::Error);
  EXPECT_THROW(attention(half({2, 5, kWidth}), half({3, 5, 2 * kWidth}), {kHeads}), c10::Error);
  EXPECT_THROW(attention(half({5, kWidth}), {kHeads}), c10::Error);
}

TEST(AttentionBlock, WithoutMemoryLibTorchsKernelServes) {
  const OverrideTest on;
  const Tensors p = projections(1, at::kBFloat16, 33, 33);
  const auto run = [&] {
    return result_and_gradients(p, [&](const auto& x) { return attention(x[0], {kHeads, true}); });
  };
  const auto own = run();
  trim_workspaces();
  set_workspace_limit(0);
  const auto stock = run();
  set_workspace_limit(std::numeric_limits<std::size_t>::max());
  for (std::size_t i = 0; i < own.size(); ++i) {
    EXPECT_LE(relative_error(stock[i], own[i].to(at::kDouble)), tolerance::kBf16);
  }
}

}  // namespace
}  // namespace halftone::nn
