#include <torch/serialize.h>

#include <functional>
#include <sstream>

#include "halftone/optim/adam.h"
#include "halftone/optim/adamw.h"
#include "halftone/optim/lamb.h"
#include "halftone/optim/sgd.h"
#include "tests/optim/lcg.h"
#include "tests/support/test.h"

namespace halftone::optim {
namespace {

using Weights = std::vector<at::Tensor>;
using Build = std::function<std::unique_ptr<MasterOptimizer>(const Weights&)>;

template <class Optimizer, class Options>
Build build(Options options) {
  return
      [options](const Weights& weights) { return std::make_unique<Optimizer>(weights, options); };
}

// Every optimizer with every storage of half weights.
std::vector<Build> all() {
  std::vector<Build> list;
  for (auto storage :
       {WeightStorage::half_master, WeightStorage::half_stochastic, WeightStorage::half_kahan}) {
    list.push_back(build<SGD>(SGDOptions{.momentum = 0.9, .storage = storage, .seed = 3}));
    list.push_back(build<Adam>(AdamOptions{.amsgrad = true, .storage = storage, .seed = 3}));
    list.push_back(build<AdamW>(AdamWOptions{.clip_norm = 1, .storage = storage, .seed = 3}));
    list.push_back(build<LAMB>(LAMBOptions{.storage = storage, .seed = 3}));
  }
  return list;
}

void steps(MasterOptimizer& optimizer, const Weights& weights, Lcg& random, int count) {
  for (int step = 0; step < count; ++step) {
    set_gradients(random, weights);
    optimizer.step();
  }
}

void expect_equal_weights(const Weights& a, const Weights& b) {
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(at::equal(a[i], b[i])) << i;
}

Weights copies(const Weights& weights) {
  Weights list;
  for (const at::Tensor& each : weights) list.push_back(each.detach().clone().requires_grad_());
  return list;
}

TEST(OptimizerState, SavedAndRestoredRunEqualsTheUninterruptedOneBitForBit) {
  for (auto type : {at::kFloat, at::kHalf, at::kBFloat16}) {
    for (const Build& make : all()) {
      Lcg random(2);
      const Weights weights = golden_weights(random, type);
      const auto optimizer = make(weights);
      steps(*optimizer, weights, random, 7);
      const StateDict state = optimizer->state_dict();
      const Weights resumed = copies(weights);
      Lcg again = random;
      steps(*optimizer, weights, random, 7);  // must not change what was saved

      const auto other = make(resumed);
      other->param_groups()[0].options().set_lr(77);
      other->load_state_dict(state);
      steps(*other, resumed, again, 7);
      expect_equal_weights(resumed, weights);
      for (std::size_t i = 0; i < weights.size(); ++i) {
        EXPECT_TRUE(at::equal(other->master(resumed[i]), optimizer->master(weights[i])));
      }
    }
  }
}

TEST(OptimizerState, GoesThroughTorchSaveAndLoad) {
  Lcg random(2);
  const Weights weights = golden_weights(random, at::kBFloat16);
  AdamW optimizer(weights, {.lr = 0.02});
  steps(optimizer, weights, random, 3);
  std::stringstream file;
  torch::save(optimizer, file);
  const Weights resumed = copies(weights);
  AdamW other(resumed);
  torch::load(other, file);
  EXPECT_EQ(other.lr(), 0.02);
  Lcg again = random;
  steps(optimizer, weights, random, 3);
  steps(other, resumed, again, 3);
  expect_equal_weights(resumed, weights);
}

TEST(OptimizerState, TorchLayoutHasPyTorchsKeysAndComesBack) {
  Lcg random(2);
  const Weights weights = golden_weights(random);
  AdamW optimizer({group(Weights{weights[0], weights[1]}, AdamWOptions{.lr = 0.1}),
                   group(Weights{weights[2]}, AdamWOptions{.betas = {0.5, 0.75}})});
  steps(optimizer, weights, random, 3);
  const StateDict state = optimizer.torch_state_dict();
  const auto slots = state.at("state").toGenericDict();
  ASSERT_EQ(slots.size(), 3u);
  const auto first = slots.at(0).toGenericDict();
  EXPECT_EQ(first.at("step").toTensor().item<float>(), 3);
  EXPECT_EQ(first.at("exp_avg").toTensor().sizes(), weights[0].sizes());
  EXPECT_EQ(first.at("exp_avg_sq").toTensor().scalar_type(), at::kFloat);
  const auto groups = state.at("param_groups").toListRef();
  ASSERT_EQ(groups.size(), 2u);
  const auto second = groups[1].toGenericDict();
  EXPECT_EQ(second.at("betas").toTupleRef().elements()[1].toDouble(), 0.75);
  EXPECT_EQ(second.at("params").toListRef()[0].toInt(), 2);
  for (const char* own : {"clip_norm", "storage", "seed"}) EXPECT_FALSE(second.contains(own));

  const Weights resumed = copies(weights);
  AdamW other({group(Weights{resumed[0], resumed[1]}, AdamWOptions{}),
               group(Weights{resumed[2]}, AdamWOptions{})});
  other.load_torch_state_dict(state);
  Lcg again = random;
  steps(optimizer, weights, random, 3);
  steps(other, resumed, again, 3);
  expect_equal_weights(resumed, weights);
}

TEST(OptimizerState, SgdsMomentumComesBackThroughTorchsLayout) {
  Lcg random(2);
  const Weights weights = golden_weights(random);
  const SGDOptions options{.momentum = 0.9, .dampening = 0.5};
  SGD optimizer(weights, options);
  steps(optimizer, weights, random, 3);
  const Weights resumed = copies(weights);
  SGD other(resumed, options);
  other.load_torch_state_dict(optimizer.torch_state_dict());
  Lcg again = random;
  steps(optimizer, weights, random, 3);
  steps(other, resumed, again, 3);
  expect_equal_weights(resumed, weights);
}

TEST(OptimizerState, WrongStateIsNamedAndChangesNothing) {
  Lcg random(2);
  const Weights weights = golden_weights(random, at::kHalf);
  AdamW optimizer(weights);
  steps(optimizer, weights, random, 2);
  const Weights before = {optimizer.master(weights[0]).clone()};
  const auto fails = [&](const char* text, const std::function<void(StateDict&)>& spoil) {
    StateDict state = optimizer.state_dict();
    spoil(state);
    EXPECT_ERROR(optimizer.load_state_dict(state), text);
    EXPECT_EQ(optimizer.lr(), 1e-3);
    EXPECT_TRUE(at::equal(optimizer.master(weights[0]), before[0]));
  };
  const auto member = [](const c10::IValue& dict, const char* a, const char* b) {
    return dict.toGenericDict().at(a).toGenericDict().at(b).toGenericDict();
  };
  fails("AdamW: the state of Adam; expected AdamW",
        [](StateDict& s) { s.insert_or_assign("optimizer", std::string("Adam")); });
  fails("AdamW.state: no such key", [](StateDict& s) { (void)s.erase("state"); });
  fails("AdamW.groups.0.lr: no such key",
        [&](StateDict& s) { (void)member(s, "groups", "0").erase("lr"); });
  fails("AdamW.groups.0: betas: 2", [&](StateDict& s) {
    member(s, "groups", "0").insert_or_assign("betas", c10::List<double>({0.5, 2}));
  });
  fails("AdamW.state.1.exp_avg: a tensor [2]",
        [&](StateDict& s) { member(s, "state", "1").insert_or_assign("exp_avg", at::zeros({2})); });
  fails("AdamW.state.2.extra: an unknown key",
        [&](StateDict& s) { member(s, "state", "2").insert("extra", 1); });
  SGD other(weights);
  EXPECT_ERROR(other.load_state_dict(optimizer.state_dict()), "the state of AdamW; expected SGD");
  AdamW fewer(Weights{weights[0]});
  EXPECT_ERROR(fewer.load_state_dict(optimizer.state_dict()), "AdamW.state: 3 parameters");
}

TEST(OptimizerState, WrongTorchStateIsNamed) {
  Lcg random(2);
  const Weights weights = golden_weights(random);
  AdamW optimizer(weights);
  steps(optimizer, weights, random, 1);
  const auto group_of = [](const StateDict& state) {
    return state.at("param_groups").toListRef()[0].toGenericDict();
  };
  StateDict state = optimizer.torch_state_dict();
  group_of(state).insert_or_assign("maximize", true);
  EXPECT_ERROR(optimizer.load_torch_state_dict(state), "AdamW.param_groups[0].maximize: true");
  state = optimizer.torch_state_dict();
  group_of(state).insert_or_assign("lr", std::string("fast"));
  EXPECT_ERROR(optimizer.load_torch_state_dict(state), "lr: a value of type String");
  state = optimizer.torch_state_dict();
  state.at("state").toGenericDict().at(1).toGenericDict().insert_or_assign("exp_avg",
                                                                           at::zeros({2}));
  EXPECT_ERROR(optimizer.load_torch_state_dict(state), "AdamW.state[1].exp_avg: a tensor [2]");
  EXPECT_ERROR(optimizer.load_torch_state_dict(1), "a dictionary");
  AdamW fewer(Weights{weights[0]});
  EXPECT_ERROR(fewer.load_torch_state_dict(optimizer.torch_state_dict()), "3 parameters");
}

TEST(OptimizerState, LoadedTorchStateKeepsMasters) {
  Lcg random(2);
  const Weights weights = golden_weights(random, at::kHalf);
  AdamW optimizer(weights);
  steps(optimizer, weights, random, 3);
  const at::Tensor master = optimizer.master(weights[0]).clone();
  optimizer.load_torch_state_dict(optimizer.torch_state_dict());
  EXPECT_TRUE(at::equal(optimizer.master(weights[0]), master));
}

}  // namespace
}  // namespace halftone::optim
