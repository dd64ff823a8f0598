#include "halftone/optim/master_optimizer.h"

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>

#include <cmath>
#include <limits>

#include "halftone/optim/adam.h"
#include "halftone/optim/adamw.h"
#include "halftone/optim/lamb.h"
#include "halftone/optim/sgd.h"
#include "tests/optim/lcg.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::optim {
namespace {

using Weights = std::vector<at::Tensor>;

AdamWOptions adamw(WeightStorage storage) {
  return {.lr = 1e-2, .clip_norm = 2.0, .storage = storage, .seed = 5};
}

// Everything that a step may write.
Weights snapshot(const MasterOptimizer& optimizer, const Weights& weights) {
  Weights all;
  for (const at::Tensor& each : weights) {
    all.push_back(each.detach().clone());
    all.push_back(each.grad().clone());
  }
  const auto state = optimizer.state_dict().at("state").toGenericDict();
  for (const auto& slot : state) {
    for (const auto& entry : slot.value().toGenericDict()) {
      if (entry.value().isTensor()) all.push_back(entry.value().toTensor());
      if (entry.value().isInt()) all.push_back(at::scalar_tensor(entry.value().toInt()));
    }
  }
  return all;
}

void expect_equal(const Weights& a, const Weights& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_TRUE(at::equal(a[i].nan_to_num(), b[i].nan_to_num())) << i;
  }
}

TEST(MasterOptimizer, HalfWeightsFollowTheFp32Trajectory) {
  for (auto type : {at::kHalf, at::kBFloat16}) {
    for (auto gradient : {type, at::kFloat}) {
      Lcg a(3), b(3);
      const Weights half = golden_weights(a, type);
      Weights wide;
      for (const at::Tensor& each : golden_weights(b)) {
        wide.push_back(each.detach().to(type).to(at::kFloat).requires_grad_());
      }
      AdamW optimizer(half, adamw(WeightStorage::half_master));
      AdamW reference(wide, adamw(WeightStorage::fp32));
      for (int step = 0; step < 50; ++step) {
        set_gradients(a, half, gradient);
        for (std::size_t i = 0; i < half.size(); ++i) {
          wide[i].mutable_grad() = half[i].grad().to(at::kFloat);
        }
        optimizer.step();
        reference.step();
      }
      for (std::size_t i = 0; i < half.size(); ++i) {
        EXPECT_TRUE(at::equal(optimizer.master(half[i]), wide[i]));
        EXPECT_TRUE(at::equal(half[i], wide[i].to(type)));
      }
    }
  }
}

TEST(MasterOptimizer, StochasticRoundingAndKahanStayNearTheFp32Trajectory) {
  for (auto storage : {WeightStorage::half_stochastic, WeightStorage::half_kahan}) {
    Lcg random(3);
    const at::Tensor half = random.weight({2000}).to(at::kBFloat16).requires_grad_();
    const at::Tensor wide = half.detach().to(at::kFloat).requires_grad_();
    SGD optimizer({half}, {.lr = 1e-4, .storage = storage});
    SGD reference({wide}, {.lr = 1e-4});
    const at::Tensor drift = at::full({2000}, -1.0f);  // 1e-4 a step, an ulp is 8e-3
    for (int step = 0; step < 500; ++step) {
      half.mutable_grad() = drift.to(at::kBFloat16);
      wide.mutable_grad() = drift;
      optimizer.step();
      reference.step();
    }
    const double moved = (optimizer.master(half).to(at::kFloat) - wide).mean().item<double>();
    // Kahan: the lower term, at most 2^-8, has 8 bits, so that a step loses at most 2^-17.
    // Stochastic: 2000 weights, each a walk of 500 steps of variance 1e-4 * ulp: deviation of the
    // mean sqrt(500 * 1e-4 * 1.6e-2 / 2000) = 6e-4, times 5. Plain rounding would stay 5e-2 behind.
    EXPECT_NEAR(moved, 0, storage == WeightStorage::half_kahan ? 500 * 0x1p-17 : 3e-3);
  }
}

TEST(MasterOptimizer, StochasticDrawsDependOnSeedAndStepNotOnThreads) {
  const int before = at::get_num_threads();
  const auto run = [](std::uint64_t seed, int threads) {
    at::set_num_threads(threads);
    Lcg random(3);
    const Weights weights = {random.weight({70'000}).to(at::kBFloat16).requires_grad_(),
                             random.weight({70'000}).to(at::kBFloat16).requires_grad_()};
    SGD optimizer(weights, {.storage = WeightStorage::half_stochastic, .seed = seed});
    for (int step = 0; step < 3; ++step) {
      set_gradients(random, weights);
      optimizer.step();
    }
    return at::stack(weights).detach();
  };
  const at::Tensor one = run(1, 1);
  EXPECT_TRUE(at::equal(run(1, 2), one));
  EXPECT_TRUE(at::equal(run(1, 3), one));
  EXPECT_FALSE(at::equal(run(2, 1), one));
  at::set_num_threads(before);
}

TEST(MasterOptimizer, SkippedStepWritesNothing) {
  for (auto storage :
       {WeightStorage::half_master, WeightStorage::half_stochastic, WeightStorage::half_kahan}) {
    Lcg random(4);
    const Weights weights = golden_weights(random, at::kHalf);
    AdamW optimizer(weights, adamw(storage));
    set_gradients(random, weights);
    optimizer.step();
    set_gradients(random, weights);
    weights[1].mutable_grad()[3] = std::numeric_limits<float>::infinity();
    weights[2].mutable_grad().fill_(std::nan(""));
    const Weights before = snapshot(optimizer, weights);
    const auto version = weights[0]._version();
    const GradientCheck check = optimizer.check_gradients();
    EXPECT_FALSE(check.finite());
    EXPECT_EQ(check.first_non_finite, 1);
    EXPECT_EQ(check.tensors, 3);
    expect_equal(snapshot(optimizer, weights), before);
    EXPECT_EQ(weights[0]._version(), version);
  }
}

TEST(MasterOptimizer, FirstNonFiniteCountsParametersWithoutGradients) {
  Lcg random(4);
  const Weights weights = golden_weights(random);
  SGD optimizer({group(Weights{weights[0], weights[1]}, SGDOptions{}),
                 group(Weights{weights[2]}, SGDOptions{})});
  weights[2].mutable_grad() = at::full(weights[2].sizes(), INFINITY);
  const GradientCheck check = optimizer.check_gradients();
  EXPECT_EQ(check.first_non_finite, 2);
  EXPECT_EQ(check.tensors, 1);
}

TEST(MasterOptimizer, ParameterWithoutGradientStaysAndItsStepDoesNotCount) {
  Lcg random(4);
  const Weights weights = golden_weights(random);
  const at::Tensor before = weights[1].detach().clone();
  AdamW optimizer(weights);
  set_gradients(random, weights);
  weights[1].mutable_grad().reset();
  optimizer.step();
  EXPECT_TRUE(at::equal(weights[1], before));
  EXPECT_FALSE(optimizer.torch_state_dict().at("state").toGenericDict().contains(1));
}

TEST(MasterOptimizer, ClipNormIsThatOfTheUnscaledGradientsOfAllGroups) {
  Lcg random(6);
  const Weights weights = golden_weights(random, at::kHalf);
  const SGDOptions options{.lr = 1, .clip_norm = 0.5};
  SGD optimizer({group(Weights{weights[0]}, options), group(Weights{weights[1]}, options),
                 group(Weights{weights[2]}, options)});
  set_gradients(random, weights);
  double square = 0;
  Weights before;
  for (const at::Tensor& each : weights) {
    each.mutable_grad().mul_(0.25);
    square += each.grad().to(at::kDouble).square().sum().item<double>();
    before.push_back(each.detach().to(at::kFloat));
    each.mutable_grad().mul_(1024);
  }
  const GradientCheck check = optimizer.check_gradients();
  EXPECT_NEAR(check.norm, 1024 * std::sqrt(square), tolerance::kFp32 * check.norm);
  optimizer.scaled_step(1.0 / 1024, check);
  double moved = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    moved += (optimizer.master(weights[i]) - before[i]).square().sum().item<double>();
  }
  EXPECT_GT(std::sqrt(square), 0.5);
  EXPECT_NEAR(std::sqrt(moved), 0.5, 1e-5);
}

TEST(MasterOptimizer, ClipValueBoundsEachElementOfItsGroup) {
  at::Tensor a = at::zeros({3}).requires_grad_(), b = at::zeros({3}).requires_grad_();
  SGD optimizer(
      {group({a}, SGDOptions{.lr = 1, .clip_value = 0.5}), group({b}, SGDOptions{.lr = 1})});
  for (auto* each : {&a, &b}) each->mutable_grad() = at::tensor({-2.0f, 0.25f, 3.0f}) * 8;
  optimizer.scaled_step(1.0 / 8, optimizer.check_gradients());
  EXPECT_TRUE(at::equal(a, at::tensor({0.5f, -0.25f, -0.5f})));
  EXPECT_TRUE(at::equal(b, at::tensor({2.0f, -0.25f, -3.0f})));
}

TEST(MasterOptimizer, ClosureRunsWithGradientsAndItsLossComesBack) {
  at::Tensor weight = at::full({2}, 3.0f).requires_grad_();
  SGD optimizer({weight}, {.lr = 0.5});
  const c10::NoGradGuard outside;
  const at::Tensor loss = optimizer.step([&] {
    optimizer.zero_grad();
    const at::Tensor value = weight.square().sum();
    value.backward();
    return value;
  });
  EXPECT_EQ(loss.item<float>(), 18);
  EXPECT_TRUE(at::equal(weight, at::zeros({2})));
}

TEST(MasterOptimizer, StepsAreSeenByAutogradAndByAutocast) {
  at::Tensor weight = at::ones({2, 2}).requires_grad_();
  SGD optimizer({weight}, {.lr = 1});
  const at::Tensor graph = (weight * weight).sum();
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const at::Tensor cast = at::mm(weight, weight);
  weight.mutable_grad() = at::ones({2, 2});
  optimizer.step();
  EXPECT_EQ(at::mm(weight, weight).sum().item<float>(), 0);  // a stale cast would give 8
  at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(at::kCPU, false);
  EXPECT_THROW(graph.backward(), c10::Error);  // the weight saved for it has changed
}

TEST(MasterOptimizer, ChannelsLastGivesTheSameWeights) {
  const auto run = [](at::MemoryFormat format) {
    Lcg random(8);
    const at::Tensor weight =
        random.weight({8, 4, 3, 3}).to(at::kBFloat16).contiguous(format).requires_grad_();
    LAMB optimizer({weight}, {.lr = 1e-2});
    for (int step = 0; step < 5; ++step) {
      weight.mutable_grad() = random.tensor({8, 4, 3, 3}).to(at::kBFloat16).contiguous(format);
      optimizer.step();
    }
    EXPECT_TRUE(optimizer.master(weight).is_contiguous(format));
    return optimizer.master(weight).contiguous();
  };
  // Norms are summed in another order.
  EXPECT_TRUE(at::allclose(run(at::MemoryFormat::ChannelsLast), run(at::MemoryFormat::Contiguous),
                           1e-6, 1e-7));
}

TEST(MasterOptimizer, WeightsWrittenByOthersReachTheMaster) {
  Lcg random(9);
  const Weights weights = golden_weights(random, at::kHalf);
  SGD optimizer(weights, {.lr = 1e-5});
  set_gradients(random, weights);
  optimizer.step();
  const at::Tensor kept = optimizer.master(weights[0]).clone();
  const at::Tensor swapped = weights[0].detach().clone();
  {
    const c10::NoGradGuard no_grad;
    weights[0].zero_();  // averaged weights swapped in and out
    weights[0].copy_(swapped);
    weights[1].fill_(7);
  }
  set_gradients(random, weights);
  for (const at::Tensor& each : weights) each.mutable_grad().zero_();
  optimizer.step();
  EXPECT_TRUE(at::equal(optimizer.master(weights[0]), kept));
  EXPECT_TRUE(optimizer.master(weights[1]).eq(7).all().item<bool>());
  EXPECT_TRUE(weights[1].eq(7).all().item<bool>());
  optimizer.reload_masters();
  EXPECT_TRUE(at::equal(optimizer.master(weights[0]), swapped.to(at::kFloat)));
}

TEST(MasterOptimizer, ModuleCastAfterwardsGetsMasters) {
  torch::nn::Linear layer(4, 3);
  AdamW optimizer(layer->parameters());
  layer->to(at::kBFloat16);
  for (const at::Tensor& each : layer->parameters()) {
    each.mutable_grad() = at::ones_like(each);
  }
  optimizer.step();
  EXPECT_EQ(optimizer.master(layer->weight).scalar_type(), at::kFloat);
}

TEST(MasterOptimizer, LearningRateOfGroupsKeepsItsRatio) {
  Lcg random(1);
  const Weights weights = golden_weights(random);
  SGD optimizer({group(Weights{weights[0]}, SGDOptions{.lr = 0.1}),
                 group(Weights{weights[1], weights[2]}, SGDOptions{.lr = 0.4})});
  optimizer.set_lr(0.05);
  EXPECT_DOUBLE_EQ(optimizer.lr(), 0.05);
  EXPECT_DOUBLE_EQ(optimizer.param_groups()[1].options().get_lr(), 0.2);
  optimizer.param_groups()[1].options().set_lr(0);
  weights[1].mutable_grad() = at::ones_like(weights[1]);
  const at::Tensor before = weights[1].detach().clone();
  optimizer.step();
  EXPECT_TRUE(at::equal(weights[1], before));
}

TEST(MasterOptimizer, GroupAddedLaterKeepsItsOptions) {
  Lcg random(1);
  const Weights weights = golden_weights(random, at::kHalf);
  SGD optimizer({weights[0]}, {.lr = 0.1});
  optimizer.add_param_group(group(Weights{weights[1]}, SGDOptions{.lr = 0.3}));
  optimizer.add_param_group(torch::optim::OptimizerParamGroup(Weights{weights[2]}));
  EXPECT_EQ(optimizer.param_groups()[1].options().get_lr(), 0.3);
  EXPECT_EQ(optimizer.param_groups()[2].options().get_lr(), 0.1);
  EXPECT_EQ(optimizer.master(weights[2]).scalar_type(), at::kFloat);
  EXPECT_ERROR(optimizer.add_param_group(group(Weights{weights[2]}, SGDOptions{})),
               "the parameter given twice");
  EXPECT_EQ(optimizer.param_groups().size(), 3u);
}

TEST(MasterOptimizer, WrongParametersAndOptionsAreNamed) {
  Lcg random(1);
  const Weights w = golden_weights(random);
  EXPECT_ERROR(SGD(Weights{}), "optimizer: no parameters");
  EXPECT_ERROR(SGD(Weights{w[0], w[1], w[0]}), "group 0, parameter 2: the parameter given twice");
  EXPECT_ERROR(SGD(Weights{w[0] * 2}), "a leaf");
  EXPECT_ERROR(SGD(Weights{at::ones({2}, at::kLong)}), "expected fp32, fp16, bf16 or fp64");
  EXPECT_ERROR(SGD(w, {.lr = -1}), "lr: -1; expected a finite number >= 0");
  EXPECT_ERROR(SGD(w, {.lr = std::nan("")}), "SGD, group 0: lr: ");
  EXPECT_ERROR(SGD(w, {.nesterov = true}), "momentum > 0 and dampening 0");
  EXPECT_ERROR(AdamW(w, {.betas = {0.9, 1}}), "betas: 1; expected a number in [0, 1)");
  EXPECT_ERROR(AdamW(w, {.clip_norm = 0}), "clip_norm: 0; expected a number > 0");
  EXPECT_ERROR(SGD({at::ones({2}, at::kHalf)}, {.storage = WeightStorage::fp32}),
               "a weight of Half; expected fp32 weights with storage fp32");
  EXPECT_ERROR(SGD({group(Weights{w[0]}, AdamOptions{})}), "another optimizer's options");
  EXPECT_ERROR(SGD({group(Weights{w[0]}, SGDOptions{.clip_norm = 1}),
                    group(Weights{w[1]}, SGDOptions{.clip_norm = 2})}),
               "group 1: clip_norm, storage or seed of its own");
  SGD optimizer(w);
  EXPECT_ERROR(optimizer.master(at::ones({2})), "none of the optimizer's parameters");
}

}  // namespace
}  // namespace halftone::optim
