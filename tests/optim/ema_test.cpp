#include "halftone/optim/ema.h"

#include <torch/torch.h>

#include <cmath>
#include <stdexcept>

#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::optim {
namespace {

struct Net : torch::nn::Module {
  Net() {
    fc = register_module("fc", torch::nn::Linear(3, 4));
    bn = register_module("bn", torch::nn::BatchNorm1d(4));
  }
  torch::nn::Linear fc{nullptr};
  torch::nn::BatchNorm1d bn{nullptr};
};

// A made-up optimizer step.
void change(Net& net, double step) {
  torch::NoGradGuard no_grad;
  for (auto& parameter : net.parameters()) parameter.add_(std::sin(step) * 0.1);
  net.bn->running_mean.add_(step);
  net.bn->num_batches_tracked.add_(1);
}

std::vector<at::Tensor> copies(const Net& net) {
  std::vector<at::Tensor> result;
  for (const auto& tensor : net.parameters()) result.push_back(tensor.detach().clone());
  for (const auto& tensor : net.buffers()) result.push_back(tensor.clone());
  return result;
}

bool same(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!a[i].equal(b[i])) return false;
  }
  return true;
}

at::Tensor average(const Ema& ema, const std::string& name) {
  for (const auto& [key, value] : ema.averages()) {
    if (key == name) return value;
  }
  return {};
}

TEST(EmaTest, FollowsTheRecursion) {
  Net net;
  Ema ema(net, {.decay = 0.9, .warm_up = false});
  auto expected = net.fc->weight.detach().to(torch::kDouble).clone();
  for (int step = 1; step <= 20; ++step) {
    change(net, step);
    ema.update();
    expected = 0.9 * expected + 0.1 * net.fc->weight.detach().to(torch::kDouble);
  }
  EXPECT_TRUE(average(ema, "fc.weight")
                  .allclose(expected.to(torch::kFloat), tolerance::kFp32, tolerance::kFp32));
}

TEST(EmaTest, WarmUpIsTheWeightedMeanOfWhatWasSeen) {
  Net net;
  Ema ema(net, {.decay = 0.9, .warm_up = true});
  auto sum = torch::zeros({4, 3}, torch::kDouble);
  double weight = 0;
  for (int step = 1; step <= 8; ++step) {
    change(net, step);
    ema.update();
    sum = 0.9 * sum + net.fc->weight.detach().to(torch::kDouble);
    weight = 0.9 * weight + 1;
    EXPECT_TRUE(average(ema, "fc.weight")
                    .allclose((sum / weight).to(torch::kFloat), tolerance::kFp32, tolerance::kFp32))
        << step;
  }
}

TEST(EmaTest, AveragesTheMastersOfHalfWeights) {
  Net net;
  const auto master = net.fc->weight.detach().clone();
  net.to(torch::kBFloat16);
  Ema ema(net, {.decay = 0.5, .warm_up = false}, [&](const at::Tensor& parameter) {
    return parameter.is_same(net.fc->weight) ? master : parameter;
  });
  master.add_(1e-4);  // below what bf16 can see
  ema.update();
  const auto kept = average(ema, "fc.weight");
  EXPECT_EQ(kept.scalar_type(), torch::kFloat);
  EXPECT_TRUE(kept.allclose(master - 5e-5, 0, 1e-7));
  const auto swap = ema.swap_in();
  EXPECT_EQ(net.fc->weight.scalar_type(), torch::kBFloat16);
  EXPECT_TRUE(net.fc->weight.equal(kept.to(torch::kBFloat16)));
}

TEST(EmaTest, SwapsInAndOutBitForBit) {
  Net net;
  Ema ema(net, {.decay = 0.9});
  for (int step = 1; step <= 3; ++step) {
    change(net, step);
    ema.update();
  }
  const auto averaged_mean = net.bn->running_mean.clone();
  change(net, 4);
  const auto before = copies(net);
  try {
    const auto swap = ema.swap_in();
    EXPECT_TRUE(net.fc->weight.equal(average(ema, "fc.weight")));
    EXPECT_TRUE(net.bn->running_mean.equal(averaged_mean));
    EXPECT_ERROR(ema.update(), "while the averages are swapped in");
    EXPECT_ERROR((void)ema.swap_in(), "a second swap_in()");
    EXPECT_TRUE(net.fc->weight.equal(average(ema, "fc.weight")));
    throw std::runtime_error("out of an evaluation");
  } catch (const std::runtime_error&) {
  }
  EXPECT_TRUE(same(copies(net), before));
  ema.update();
  EXPECT_EQ(ema.updates(), 4);
}

TEST(EmaTest, CopiesBuffersAndSharedWeightsOnce) {
  Net net;
  net.register_parameter("tied", net.fc->weight);
  Ema ema(net);
  change(net, 2);
  ema.update();
  EXPECT_TRUE(average(ema, "bn.running_mean").equal(net.bn->running_mean));
  EXPECT_EQ(average(ema, "bn.num_batches_tracked").item<std::int64_t>(), 1);
  EXPECT_EQ(ema.averages().size(), 7u);  // 4 parameters, 3 buffers; the tied one once
}

TEST(EmaTest, ResumedEqualsUninterruptedBitForBit) {
  Net net;
  Ema whole(net, {.decay = 0.95});
  for (int step = 1; step <= 5; ++step) {
    change(net, step);
    whole.update();
  }
  const auto state = whole.state_dict();
  Ema resumed(net, {.decay = 0.95});
  resumed.load_state_dict(state);
  for (int step = 6; step <= 12; ++step) {
    change(net, step);
    whole.update();
    resumed.update();
  }
  const auto expected = whole.averages(), found = resumed.averages();
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_TRUE(found[i].second.equal(expected[i].second)) << found[i].first;
  }
  EXPECT_EQ(resumed.updates(), 12);
}

TEST(EmaTest, AWrongStateChangesNothing) {
  Net net;
  Ema ema(net);
  change(net, 1);
  ema.update();
  const auto before = average(ema, "fc.weight");
  auto state = ema.state_dict();
  state.insert_or_assign("updates", int64_t{99});
  auto averages = make_state_dict();
  averages.insert("fc.weight", torch::zeros({4, 3}));
  state.insert_or_assign("averages", averages);
  EXPECT_ERROR(ema.load_state_dict(state), "ema.averages.fc.bias: no such key");
  averages.insert_or_assign("fc.weight", torch::zeros({5, 3}));
  EXPECT_ERROR(ema.load_state_dict(state), "a tensor [5, 3] of Float; expected a tensor [4, 3]");
  EXPECT_EQ(ema.updates(), 1);
  EXPECT_TRUE(average(ema, "fc.weight").equal(before));
}

TEST(EmaTest, ADecayOutOfRangeIsAnError) {
  const Net net;
  EXPECT_ERROR(Ema(net, {.decay = 1}), "a number below 1");
  EXPECT_ERROR(Ema(net, {.decay = -0.1}), "a number from 0 to 1");
}

}  // namespace
}  // namespace halftone::optim
