#include <torch/torch.h>

#include "halftone/kernels/batch_norm/batch_norm.h"
#include "tests/ops/override_support.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

constexpr at::ScalarType kNormTypes[] = {at::kHalf, at::kBFloat16};

// Rounding of a result and of what flows through it, relative to results of size 1.
double norm_tolerance(at::ScalarType type) {
  return type == at::kHalf ? tolerance::kFp16 : tolerance::kBf16;
}

bool norm_close(const at::Tensor& a, const at::Tensor& b, double tolerance) {
  return at::allclose(a.to(at::kDouble), b.to(at::kDouble), tolerance, tolerance);
}

struct BatchNormInputs {
  torch::Tensor x, weight, bias, running_mean, running_var;
};

// parameters: their type; undefined where kByte.
BatchNormInputs batch_norm_inputs(torch::IntArrayRef sizes, at::ScalarType type,
                                  at::ScalarType parameters, at::MemoryFormat format) {
  torch::manual_seed(1);
  const auto c = sizes[1];
  return {torch::randn(sizes).to(type).contiguous(format), torch::rand({c}).add(0.5).to(parameters),
          torch::randn({c}).to(parameters), torch::randn({c}).to(parameters),
          torch::rand({c}).add(0.5).to(parameters)};
}

// The same numbers in another type.
BatchNormInputs converted(const BatchNormInputs& in, at::ScalarType type) {
  return {in.x.to(type), in.weight.to(type), in.bias.to(type), in.running_mean.to(type),
          in.running_var.to(type)};
}

BatchNormInputs copied(const BatchNormInputs& in) {
  return {in.x, in.weight, in.bias, in.running_mean.clone(), in.running_var.clone()};
}

auto native(const BatchNormInputs& in, bool training) {
  return at::native_batch_norm(in.x, in.weight, in.bias, in.running_mean, in.running_var, training,
                               0.1, 1e-5);
}

TEST(BatchNormOverride, MatchesFp64InEveryTypeLayoutAndMode) {
  const OverrideTest on;
  for (auto type : kNormTypes) {
    for (auto parameters : {at::kFloat, type}) {
      for (auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
        for (bool training : {true, false}) {
          const auto in = batch_norm_inputs({4, 19, 6, 7}, type, parameters, format);
          const auto wide = converted(in, at::kDouble), again = copied(in);
          const auto runs = total_runs(kernels::batch_norm_forward_ladder());
          const auto [y, mean, invstd] = native(in, training);
          EXPECT_EQ(total_runs(kernels::batch_norm_forward_ladder()), runs + 1);
          const auto [exact, exact_mean, exact_invstd] = native(wide, training);
          const auto tolerance = norm_tolerance(type);
          EXPECT_TRUE(norm_close(y, exact, tolerance));
          EXPECT_TRUE(norm_close(mean, exact_mean, tolerance));
          EXPECT_TRUE(norm_close(invstd, exact_invstd, tolerance));
          EXPECT_TRUE(norm_close(in.running_mean, wide.running_mean, tolerance));
          EXPECT_TRUE(norm_close(in.running_var, wide.running_var, tolerance));
          // Sizes, strides and types are LibTorch's.
          const auto [stock, stock_mean, stock_invstd] =
              on.stock([&] { return native(again, training); });
          EXPECT_EQ(y.strides(), stock.strides());
          EXPECT_EQ(y.scalar_type(), stock.scalar_type());
          EXPECT_EQ(mean.sizes(), stock_mean.sizes());
          EXPECT_EQ(mean.scalar_type(), stock_mean.scalar_type());
          EXPECT_EQ(invstd.scalar_type(), stock_invstd.scalar_type());
        }
      }
    }
  }
}

auto batch_norm_gradients_of(const BatchNormInputs& in, const torch::Tensor& dy, bool training) {
  auto leaves = in;
  for (auto* each : {&leaves.x, &leaves.weight, &leaves.bias}) {
    *each = each->detach().requires_grad_();
  }
  const auto y = torch::batch_norm(leaves.x, leaves.weight, leaves.bias, leaves.running_mean,
                                   leaves.running_var, training, 0.1, 1e-5, false);
  return torch::autograd::grad({y}, {leaves.x, leaves.weight, leaves.bias}, {dy});
}

TEST(BatchNormOverride, GradientsMatchFp64AlsoThroughViews) {
  const OverrideTest on;
  for (auto type : kNormTypes) {
    for (auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      for (bool training : {true, false}) {
        for (bool view : {false, true}) {
          auto in = batch_norm_inputs({4, 19, 6, 8}, type, at::kFloat, format);
          auto dy = torch::randn({4, 19, 6, 8}).to(type);
          if (view)
            in.x = in.x.slice(3, 0, 8, 2), dy = dy.select(3, 0).unsqueeze(3).expand({4, 19, 6, 4});
          const auto wide = converted(in, at::kDouble), again = copied(in);
          const auto runs = total_runs(kernels::batch_norm_backward_ladder());
          const auto found = batch_norm_gradients_of(in, dy, training);
          EXPECT_EQ(total_runs(kernels::batch_norm_backward_ladder()), runs + 1);
          const auto exact = batch_norm_gradients_of(wide, dy.to(at::kDouble), training);
          const auto stock = on.stock([&] { return batch_norm_gradients_of(again, dy, training); });
          for (std::size_t i = 0; i < 3; ++i) {
            EXPECT_TRUE(norm_close(found[i], exact[i], norm_tolerance(type))) << i;
            EXPECT_EQ(found[i].scalar_type(), stock[i].scalar_type());
            EXPECT_EQ(found[i].strides(), stock[i].strides());
          }
        }
      }
    }
  }
}

TEST(BatchNormOverride, TakesMatricesVolumesAndMissingParameters) {
  const OverrideTest on;
  for (const IntArrayList& sizes :
       {IntArrayList{30, 5}, IntArrayList{4, 5, 9}, IntArrayList{2, 5, 3, 4, 2}}) {
    const auto x = torch::randn(sizes).to(at::kHalf);
    const auto run = [](const at::Tensor& input) {
      const auto leaf = input.detach().requires_grad_();
      const auto y = torch::batch_norm(leaf, {}, {}, {}, {}, true, 0.1, 1e-5, false);
      return torch::autograd::grad({y.pow(3).to(at::kFloat).sum()}, {leaf})[0];
    };
    const auto runs = total_runs(kernels::batch_norm_backward_ladder());
    const auto found = run(x);
    EXPECT_EQ(total_runs(kernels::batch_norm_backward_ladder()), runs + 1);
    EXPECT_TRUE(norm_close(found, run(x.to(at::kDouble)), 5 * tolerance::kFp16));
  }
}

TEST(BatchNormOverride, ServesTheFormsThatCompiledCodeCalls) {
  const OverrideTest on;
  const auto in =
      batch_norm_inputs({4, 8, 5, 5}, at::kHalf, at::kFloat, at::MemoryFormat::ChannelsLast);
  const auto [expected, mean, invstd] = native(copied(in), true);
  const auto runs = [] { return total_runs(kernels::batch_norm_forward_ladder()); };
  const auto before = runs();
  auto one = copied(in);
  EXPECT_TRUE(at::equal(
      std::get<0>(at::_native_batch_norm_legit(one.x, one.weight, one.bias, one.running_mean,
                                               one.running_var, true, 0.1, 1e-5)),
      expected));
  EXPECT_TRUE(at::equal(
      std::get<0>(at::_native_batch_norm_legit(one.x, one.weight, one.bias, true, 0.1, 1e-5)),
      expected));
  EXPECT_TRUE(
      at::equal(std::get<0>(at::_batch_norm_with_update(
                    one.x, one.weight, one.bias, one.running_mean, one.running_var, 0.1, 1e-5)),
                expected));
  EXPECT_TRUE(at::equal(
      std::get<0>(at::_native_batch_norm_legit_functional(
          one.x, one.weight, one.bias, one.running_mean, one.running_var, true, 0.1, 1e-5)),
      expected));
  auto out = at::empty_like(expected), m = at::empty({8}), v = at::empty({8});
  at::native_batch_norm_out(out, m, v, one.x, one.weight, one.bias, one.running_mean,
                            one.running_var, true, 0.1, 1e-5);
  EXPECT_TRUE(at::equal(out, expected) && at::equal(m, mean) && at::equal(v, invstd));
  EXPECT_EQ(runs(), before + 5);
  // An output of the wrong size is LibTorch's to resize.
  auto small = at::empty({0}, at::kHalf);
  at::native_batch_norm_out(small, m, v, one.x, one.weight, one.bias, one.running_mean,
                            one.running_var, true, 0.1, 1e-5);
  EXPECT_EQ(runs(), before + 5);
}

TEST(BatchNormOverride, SecondDerivativesAreLibTorchs) {
  const OverrideTest on;
  const auto gradient_of_gradient = [](at::ScalarType type) {
    torch::manual_seed(3);
    const auto x = torch::randn({4, 3, 5, 5}).to(at::kBFloat16).to(type).requires_grad_();
    const auto w = torch::ones({3}, type == at::kBFloat16 ? at::kFloat : type);
    const auto y = torch::batch_norm(x, w, w, {}, {}, true, 0.1, 1e-5, false).pow(2);
    const auto g = torch::autograd::grad({y.sum()}, {x}, {}, true, true)[0];
    return torch::autograd::grad({g.pow(2).sum()}, {x})[0].to(at::kFloat);
  };
  EXPECT_TRUE(at::allclose(gradient_of_gradient(at::kBFloat16), gradient_of_gradient(at::kDouble),
                           5 * tolerance::kBf16, 0.05));
}

TEST(BatchNormOverride, Fp32IsLibTorchsBitForBit) {
  const OverrideTest on;
  const auto in =
      batch_norm_inputs({4, 19, 6, 7}, at::kFloat, at::kFloat, at::MemoryFormat::ChannelsLast);
  const auto dy = torch::randn({4, 19, 6, 7});
  const auto runs = total_runs(kernels::batch_norm_forward_ladder()) +
                    total_runs(kernels::batch_norm_backward_ladder());
  const auto again = copied(in);
  const auto found = batch_norm_gradients_of(in, dy, true);
  const auto stock = on.stock([&] { return batch_norm_gradients_of(again, dy, true); });
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(at::equal(found[i], stock[i]));
  EXPECT_TRUE(at::equal(in.running_var, again.running_var));
  EXPECT_EQ(total_runs(kernels::batch_norm_forward_ladder()) +
                total_runs(kernels::batch_norm_backward_ladder()),
            runs);
}

TEST(BatchNormOverride, ErrorsAreLibTorchs) {
  const OverrideTest on;
  const auto x = torch::randn({4, 5, 3, 3}).to(at::kHalf);
  const auto single = torch::ones({5}), half = single.to(at::kHalf), wrong = torch::ones({6});
  on.expect_same_error(
      [&] { torch::batch_norm(x, wrong, single, single, single, true, 0.1, 1e-5, false); });
  on.expect_same_error([&] { at::native_batch_norm(x, single, half, {}, {}, true, 0.1, 1e-5); });
  on.expect_same_error(
      [&] { at::native_batch_norm(x, half, half, single, single, true, 0.1, 1e-5); });
  on.expect_same_error(
      [&] { at::native_batch_norm(x.slice(0, 0, 0), single, single, {}, {}, true, 0.1, 1e-5); });
}

}  // namespace
}  // namespace halftone
