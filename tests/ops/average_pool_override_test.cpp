#include <torch/torch.h>

#include "halftone/kernels/average_pool/average_pool.h"
#include "tests/ops/override_support.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

using torch::Tensor;

struct AverageForm {
  const char* name;
  Tensor (*run)(const Tensor&);
};

constexpr AverageForm kAverageForms[] = {
    {"2x2",
     [](const Tensor& x) {
       return at::avg_pool2d(x, {2, 2});
     }},
    {"3x3/1",
     [](const Tensor& x) {
       return at::avg_pool2d(x, {3, 3}, {1, 1}, {1, 1});
     }},
    {"ceil, valid",
     [](const Tensor& x) {
       return at::avg_pool2d(x, {3, 2}, {2, 2}, {1, 0}, true, false);
     }},
    {"divisor",
     [](const Tensor& x) {
       return at::avg_pool2d(x, {3, 3}, {3, 2}, {1, 1}, false, true, 5);
     }},
    {"global",
     [](const Tensor& x) {
       return at::adaptive_avg_pool2d(x, {1, 1});
     }},
    {"mean",
     [](const Tensor& x) {
       return x.mean({-1, -2});
     }},
    {"adaptive", [](const Tensor& x) {
       return at::adaptive_avg_pool2d(x, {4, 3});
     }}};

TEST(AveragePoolOverride, ValuesAndGradientsMatchFp64) {
  const OverrideTest on;
  for (const auto& form : kAverageForms) {
    for (auto type : {at::kHalf, at::kBFloat16}) {
      const auto x = torch::randn({2, 40, 9, 26}).to(type);
      for (const auto& input : {x, x.contiguous(at::MemoryFormat::ChannelsLast),
                                x.slice(1, 3, 37).slice(3, 1, 24, 2)}) {
        SCOPED_TRACE(form.name);
        const bool last = input.suggest_memory_format() == at::MemoryFormat::ChannelsLast;
        // What the override leaves to LibTorch, as it is as fast.
        const bool sliding = form.name[0] == '2' || form.name[0] == '3' || form.name[0] == 'c' ||
                             form.name[0] == 'd';
        const bool ours = last ? !sliding : std::string(form.name) != "adaptive";
        const auto half = input.detach().requires_grad_();
        const auto exact = input.to(at::kDouble).detach().requires_grad_();
        const auto runs = total_runs(kernels::average_pool_ladder());
        const auto y = form.run(half);
        EXPECT_EQ(total_runs(kernels::average_pool_ladder()), runs + ours);
        const auto stock = on.stock([&] { return form.run(input); });
        EXPECT_EQ(y.sizes(), stock.sizes());
        EXPECT_EQ(y.strides(), stock.strides());
        const auto g = torch::randn(y.sizes()).to(type);
        y.backward(g);
        const auto reference = form.run(exact);
        reference.backward(g.to(at::kDouble));
        const double bound = type == at::kHalf ? tolerance::kFp16 : tolerance::kBf16;
        EXPECT_TRUE(at::allclose(y.to(at::kDouble), reference, bound, bound));
        EXPECT_TRUE(at::allclose(half.grad().to(at::kDouble), exact.grad(), bound, bound));
      }
    }
  }
}

TEST(AveragePoolOverride, BackwardRunsOursInLibTorchsMemoryFormat) {
  const OverrideTest on;
  for (auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    const auto x = torch::randn({2, 8, 6, 6}).to(at::kHalf).contiguous(format);
    const auto g = torch::randn({2, 8, 3, 3}).to(at::kHalf);
    const auto plane = torch::randn({2, 8, 1, 1}).to(at::kHalf);
    const auto sliding = [&] {
      return at::avg_pool2d_backward(g, x, {2, 2}, {2, 2}, {0, 0}, false, true, std::nullopt);
    };
    const auto global = [&] { return at::_adaptive_avg_pool2d_backward(plane, x); };
    const auto runs = total_runs(kernels::average_pool_backward_ladder());
    const auto own = sliding(), own_global = global();
    EXPECT_EQ(total_runs(kernels::average_pool_backward_ladder()), runs + 2);
    const auto stock = on.stock(sliding), stock_global = on.stock(global);
    EXPECT_EQ(own.strides(), stock.strides());
    EXPECT_EQ(own_global.strides(), stock_global.strides());
    EXPECT_TRUE(at::allclose(own, stock, tolerance::kFp16, tolerance::kFp16));
    EXPECT_TRUE(at::allclose(own_global, stock_global, tolerance::kFp16, tolerance::kFp16));
  }
}

TEST(AveragePoolOverride, SecondDerivativesAndThreads) {
  const OverrideTest on;
  const auto x = torch::randn({2, 32, 40, 40}).to(at::kHalf).requires_grad_();
  const auto y = at::avg_pool2d(x, {2, 2}).pow(2);
  const auto g = torch::autograd::grad({y.sum()}, {x}, {}, true, true)[0];
  EXPECT_TRUE(torch::autograd::grad({g.pow(2).sum()}, {x})[0].isfinite().all().item<bool>());
  const auto expected = at::avg_pool2d(x, {3, 3}, {1, 1}, {1, 1});
  for (int threads : {2, 3}) {
    at::set_num_threads(threads);
    EXPECT_TRUE(at::equal(at::avg_pool2d(x, {3, 3}, {1, 1}, {1, 1}), expected));
  }
}

TEST(AveragePoolOverride, OtherCasesAndErrorsAreLibTorchs) {
  const OverrideTest on;
  const auto runs = total_runs(kernels::average_pool_ladder());
  const auto half = torch::randn({2, 3, 8, 8}).to(at::kHalf);
  for (const auto& form : kAverageForms) {
    const auto single = [&] { return form.run(half.to(at::kFloat)); };
    EXPECT_TRUE(at::equal(single(), on.stock(single)));
  }
  const auto other_dimension = [&] { return half.mean({1}); };
  EXPECT_TRUE(at::equal(other_dimension(), on.stock(other_dimension)));
  on.expect_same_error([&] { half.mean({-1, -1}); });
  on.expect_same_error([&] { at::avg_pool2d(half, {2, 2, 2}); });
  on.expect_same_error([&] { at::avg_pool2d(half, {2, 2}, {2, 2}, {2, 2}); });
  on.expect_same_error([&] { at::avg_pool2d(half, {20, 20}); });
  on.expect_same_error([&] { at::avg_pool2d(half, {2, 2}, {}, {0, 0}, false, true, 0); });
  EXPECT_EQ(total_runs(kernels::average_pool_ladder()), runs);
}

}  // namespace
}  // namespace halftone
