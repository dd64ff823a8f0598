#include "halftone/ops/optimizer_ops.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <cmath>
#include <functional>
#include <limits>

#include "halftone/kernels/optimizer/rounding.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::ops {
namespace {

using kernels::UpdateRule;
using kernels::WeightKind;

at::Tensor random(at::IntArrayRef shape, c10::ScalarType type, std::uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::randn(shape, generator, at::kFloat).to(type);
}

ParameterUpdate make_update(UpdateRule rule, WeightKind kind, c10::ScalarType type,
                            c10::ScalarType gradient_type, at::IntArrayRef shape) {
  ParameterUpdate u;
  u.rule = rule;
  u.kind = kind;
  u.weight = random(shape, type, 1);
  u.gradient = random(shape, gradient_type, 2);
  const auto wide = type == at::kDouble ? at::kDouble : at::kFloat;
  if (kind == WeightKind::master) u.master = random(shape, at::kFloat, 3);
  if (kind == WeightKind::kahan) u.compensation = random(shape, at::kFloat, 4).mul(1e-3).to(type);
  u.state = {random(shape, wide, 5), random(shape, wide, 6).abs(), random(shape, wide, 7).abs()};
  u.key = 1234567890123;
  Numbers& n = u.numbers;
  n.gradient_scale = 0.25, n.clip_value = 0.4, n.l2 = 0.01, n.keep = 0.999, n.step_size = 0.01;
  n.momentum = 0.9, n.undampened = 0.7, n.one_minus_beta1 = 0.1, n.beta2 = 0.99;
  n.one_minus_beta2 = 0.01, n.eps = 1e-6, n.root_correction = 2.5, n.correction = 1.5;
  n.decay = 0.03;
  return u;
}

// With copies of everything that the update writes.
ParameterUpdate clone(const ParameterUpdate& u) {
  ParameterUpdate copy = u;
  for (at::Tensor* each : {&copy.weight, &copy.master, &copy.compensation, &copy.state[0],
                           &copy.state[1], &copy.state[2]}) {
    if (each->defined()) *each = each->clone();
  }
  return copy;
}

void expect_same_bits(const ParameterUpdate& a, const ParameterUpdate& b) {
  EXPECT_TRUE(at::equal(a.weight, b.weight));
  for (std::size_t k = 0; k < 3; ++k) EXPECT_TRUE(at::equal(a.state[k], b.state[k])) << k;
  if (a.master.defined()) {
    EXPECT_TRUE(at::equal(a.master, b.master));
  }
  if (a.compensation.defined()) {
    EXPECT_TRUE(at::equal(a.compensation, b.compensation));
  }
}

void for_each_case(at::IntArrayRef shape, const std::function<void(const ParameterUpdate&)>& body) {
  for (UpdateRule rule :
       {UpdateRule::sgd, UpdateRule::adam, UpdateRule::lamb_direction, UpdateRule::lamb_apply}) {
    for (auto gradient : {at::kFloat, at::kHalf, at::kBFloat16}) {
      body(make_update(rule, WeightKind::plain, at::kFloat, gradient, shape));
      for (auto weight : {at::kHalf, at::kBFloat16}) {
        for (WeightKind kind : {WeightKind::master, WeightKind::stochastic, WeightKind::kahan}) {
          SCOPED_TRACE(testing::Message()
                       << "rule " << static_cast<int>(rule) << " kind " << static_cast<int>(kind));
          body(make_update(rule, kind, weight, gradient, shape));
        }
      }
    }
  }
}

TEST(OptimizerOps, KernelsAndTensorArithmeticGiveTheSameBits) {
  for_each_case({7, 11, 13}, [](const ParameterUpdate& start) {
    ParameterUpdate kernel = clone(start), tensors = clone(start);
    const auto norms = update_parameters({kernel});
    const auto expected = update_with_tensors(tensors);
    expect_same_bits(kernel, tensors);
    EXPECT_NEAR(norms[0].weight, expected.weight, tolerance::kFp32 * expected.weight);
    EXPECT_NEAR(norms[0].direction, expected.direction, tolerance::kFp32 * expected.direction);
  });
}

std::uint64_t kernel_runs() {
  std::uint64_t runs = 0;
  for (Isa rung : machine_isas()) runs += kernels::optimizer_update_ladder().runs(rung);
  return runs;
}

TEST(OptimizerOps, ChannelsLastAndPermutedTensorsGoTheFastWay) {
  const auto permuted = [](const at::Tensor& t) { return t.clone().transpose(0, 1); };
  ParameterUpdate nchw =
      make_update(UpdateRule::adam, WeightKind::master, at::kHalf, at::kHalf, {4, 3, 5, 2});
  for (const auto& relay : std::vector<std::function<at::Tensor(const at::Tensor&)>>{
           permuted, [](const at::Tensor& t) { return t.clone(at::MemoryFormat::ChannelsLast); }}) {
    ParameterUpdate u = clone(nchw);
    for (at::Tensor* each :
         {&u.weight, &u.gradient, &u.master, &u.state[0], &u.state[1], &u.state[2]}) {
      *each = relay(*each);
    }
    ParameterUpdate expected = clone(u);
    const auto runs = kernel_runs();
    update_parameters({u});
    EXPECT_EQ(kernel_runs(), runs + 1);
    update_with_tensors(expected);
    expect_same_bits(u, expected);
  }
}

TEST(OptimizerOps, GradientOfAnotherLayoutIsReadInTheWeightsOrder) {
  ParameterUpdate u =
      make_update(UpdateRule::sgd, WeightKind::plain, at::kFloat, at::kHalf, {4, 6});
  ParameterUpdate expected = clone(u);
  u.gradient = u.gradient.t().contiguous().t();
  update_parameters({u});
  update_parameters({expected});
  expect_same_bits(u, expected);
}

TEST(OptimizerOps, WeightWithHolesIsUpdatedByTensorArithmetic) {
  for_each_case({6, 4}, [](const ParameterUpdate& start) {
    ParameterUpdate expected = clone(start), sliced = clone(start);
    const at::Tensor storage = at::zeros({6, 8}, start.weight.options());
    sliced.weight = storage.slice(1, 0, 8, 2);
    sliced.weight.copy_(start.weight);
    update_parameters({sliced});
    update_parameters({expected});
    expect_same_bits(sliced, expected);
    EXPECT_TRUE(storage.slice(1, 1, 8, 2).eq(0).all().item<bool>());
  });
}

TEST(OptimizerOps, Fp64WeightsKeepFp64) {
  ParameterUpdate u =
      make_update(UpdateRule::adam, WeightKind::plain, at::kDouble, at::kDouble, {50});
  u.state[2].reset();
  const ParameterUpdate start = clone(u);
  update_parameters({u});
  const Numbers& n = u.numbers;
  const at::Tensor g =
      (start.gradient * n.gradient_scale).clamp(-n.clip_value, n.clip_value) + n.l2 * start.weight;
  const at::Tensor m = start.state[0] * (1 - n.one_minus_beta1) + n.one_minus_beta1 * g;
  const at::Tensor v = start.state[1] * n.beta2 + n.one_minus_beta2 * g * g;
  const at::Tensor expected =
      start.weight * n.keep - n.step_size * m / (v.sqrt() * n.root_correction + n.eps);
  EXPECT_LT((u.weight - expected).abs().max().item<double>(), 1e-14);
}

TEST(OptimizerOps, ThreadCountChangesNoBit) {
  const int before = at::get_num_threads();
  for (WeightKind kind : {WeightKind::master, WeightKind::stochastic, WeightKind::kahan}) {
    std::vector<ParameterUpdate> start;
    for (std::int64_t size : {3, 100'000, 1, 70'001, 16'384}) {
      start.push_back(
          make_update(UpdateRule::lamb_direction, kind, at::kBFloat16, at::kBFloat16, {size}));
      start.push_back(make_update(UpdateRule::adam, kind, at::kHalf, at::kFloat, {size}));
    }
    std::vector<ParameterUpdate> first;
    std::vector<DirectionNorms> first_norms;
    double first_norm = 0;
    for (int threads : {1, 2, 3}) {
      at::set_num_threads(threads);
      std::vector<ParameterUpdate> now;
      std::vector<at::Tensor> gradients;
      for (const auto& each : start) {
        now.push_back(clone(each));
        gradients.push_back(each.gradient);
      }
      const double norm = read_gradients(gradients).norm;
      const auto norms = update_parameters(now);
      if (threads == 1) {
        first = now, first_norms = norms, first_norm = norm;
        continue;
      }
      EXPECT_EQ(norm, first_norm) << threads << " threads";
      for (std::size_t i = 0; i < now.size(); ++i) {
        expect_same_bits(now[i], first[i]);
        EXPECT_EQ(norms[i].direction, first_norms[i].direction);
      }
    }
  }
  at::set_num_threads(before);
}

TEST(OptimizerOps, ReadPassGivesTheNormAndTheFirstThatIsNotFinite) {
  std::vector<at::Tensor> gradients = {random({30}, at::kHalf, 1), at::Tensor(),
                                       random({5, 5}, at::kFloat, 2), random({9}, at::kDouble, 3),
                                       random({8, 8}, at::kBFloat16, 4).slice(1, 0, 8, 3)};
  double square = 0;
  for (const auto& each : gradients) {
    if (each.defined()) square += each.to(at::kDouble).square().sum().item<double>();
  }
  const auto reading = read_gradients(gradients);
  EXPECT_EQ(reading.tensors, 4);
  EXPECT_EQ(reading.first_non_finite, -1);
  EXPECT_NEAR(reading.norm, std::sqrt(square), tolerance::kFp32 * std::sqrt(square));
  gradients[4].index_put_({at::tensor(7), at::tensor(2)}, at::tensor(NAN).to(at::kBFloat16));
  EXPECT_EQ(read_gradients(gradients).first_non_finite, 4);
  gradients[3][8] = -std::numeric_limits<double>::infinity();
  EXPECT_EQ(read_gradients(gradients).first_non_finite, 3);
  gradients[0][29] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(read_gradients(gradients).first_non_finite, 0);
  EXPECT_TRUE(std::isnan(read_gradients(gradients).norm));
  EXPECT_EQ(read_gradients({}).tensors, 0);
}

TEST(OptimizerOps, UpdateBumpsTheWeightsVersion) {
  for (bool dense : {true, false}) {
    ParameterUpdate u =
        make_update(UpdateRule::sgd, WeightKind::plain, at::kFloat, at::kFloat, {4, 4});
    if (!dense) u.weight = at::zeros({4, 8}).slice(1, 0, 8, 2);
    const auto version = u.weight._version();
    update_parameters({u});
    EXPECT_GT(u.weight._version(), version);
  }
}

TEST(OptimizerOps, WhatDoesNotFitIsNamedBeforeAnythingIsWritten) {
  ParameterUpdate good =
      make_update(UpdateRule::sgd, WeightKind::plain, at::kFloat, at::kFloat, {4});
  ParameterUpdate bad = clone(good);
  const at::Tensor before = good.weight.clone();
  bad.gradient = at::zeros({5});
  EXPECT_ERROR(update_parameters({good, bad}), "parameter 1: gradient [5] of Float; expected [4]");
  bad.gradient = at::zeros({4}).to_sparse();
  EXPECT_ERROR(update_parameters({good, bad}), "a sparse gradient; expected a dense one");
  bad = clone(good);
  bad.weight = bad.weight.to(at::kHalf);
  EXPECT_ERROR(update_parameters({good, bad}), "a half weight updated in place");
  bad = clone(good);
  bad.state[0] = bad.state[0].to(at::kHalf);
  EXPECT_ERROR(update_parameters({good, bad}), "state [4] of Half; expected [4] of Float");
  EXPECT_TRUE(at::equal(good.weight, before));
}

at::Tensor call_adam(const std::string& storage) {
  auto weight = random({1000}, at::kBFloat16, 1);
  const std::vector<at::Tensor> weights = {weight}, gradients = {random({1000}, at::kBFloat16, 2)},
                                masters = {weight.to(at::kFloat)}, terms = {at::zeros_like(weight)},
                                m = {at::zeros({1000})}, v = {at::zeros({1000})}, none;
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("halftone::adam_update_", "");
  c10::Stack stack;
  for (const auto& list : {weights, gradients, m, v, none, masters, terms}) {
    stack.emplace_back(c10::List<at::Tensor>(list));
  }
  stack.emplace_back(c10::List<std::int64_t>({1}));
  for (double number : {1e-2, 0.9, 0.999, 1e-8, 0.0}) stack.emplace_back(number);
  stack.emplace_back(true);
  stack.emplace_back(1.0);
  stack.emplace_back(c10::IValue());
  stack.emplace_back(storage);
  stack.emplace_back(std::int64_t{3});
  stack.emplace_back(std::int64_t{0});
  op.callBoxed(stack);
  return weight;
}

TEST(OptimizerOps, AreRegisteredWithTheDispatcher) {
  ParameterUpdate u;
  u.rule = UpdateRule::adam;
  u.kind = WeightKind::master;
  u.weight = random({1000}, at::kBFloat16, 1);
  u.gradient = random({1000}, at::kBFloat16, 2);
  u.master = u.weight.to(at::kFloat);
  u.state = {at::zeros({1000}), at::zeros({1000}), at::Tensor()};
  u.numbers = adam_numbers(1e-2, 0.9, 0.999, 1e-8, 0, true, 1);
  ParameterUpdate stochastic = clone(u);
  stochastic.kind = WeightKind::stochastic;
  stochastic.key = kernels::draw_key(3, 0, 1);
  update_parameters({u, stochastic});
  EXPECT_TRUE(at::equal(call_adam("master"), u.weight));
  EXPECT_TRUE(at::equal(call_adam("stochastic"), stochastic.weight));
  EXPECT_ERROR(call_adam("fp32"), "expected \"master\", \"stochastic\" or \"kahan\"");
  for (const char* name :
       {"halftone::gradient_check", "halftone::sgd_update_", "halftone::lamb_update_"}) {
    EXPECT_TRUE(c10::Dispatcher::singleton().findSchema({name, ""}).has_value()) << name;
  }
}

}  // namespace
}  // namespace halftone::ops
