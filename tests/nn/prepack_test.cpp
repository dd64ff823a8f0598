#include "halftone/nn/prepack.h"

#include <torch/torch.h>

#include <atomic>
#include <thread>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/trim.h"
#include "halftone/nn/layers.h"
#include "halftone/ops/overrides/conv2d.h"
#include "halftone/ops/packed_weights.h"
#include "tests/ops/override_support.h"
#include "tests/support/rungs.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

namespace tnn = torch::nn;

tnn::Sequential frozen_network(at::ScalarType type) {
  torch::manual_seed(31);
  tnn::Sequential network(tnn::Conv2d(tnn::Conv2dOptions(5, 8, 3).padding(1)),
                          nn::Conv2d(torch::nn::Conv2dOptions(8, 16, 3).stride(2).bias(false)),
                          tnn::Conv2d(tnn::Conv2dOptions(16, 16, 3).groups(4)), tnn::Flatten(),
                          tnn::Linear(400, 24), nn::LinearGelu(24, 5));
  network->to(type);
  for (auto& each : network->parameters()) each.requires_grad_(false);
  return network;
}

at::Tensor frozen_input(at::ScalarType type) {
  torch::manual_seed(32);
  return torch::randn({2, 5, 16, 16}).to(type);
}

bool has_pack(const at::Tensor& weight) {
  return ops::find_packed(weight.t(), ops::WeightUse::matrix) != nullptr;
}

TEST(Prepack, TheSameBitsOnEveryRungAndThreadCount) {
  const OverrideTest on;
  const auto run_all = [](Isa rung) {
    for (const auto type : {at::kHalf, at::kBFloat16}) {
      auto network = frozen_network(type);
      const auto x = frozen_input(type);
      const auto expected = network->forward(x);
      const PrepackReport report = prepack(*network);
      const bool convolutions = ops::reads_packed_weights(torch::empty({4, 4, 1, 1}, type));
      const std::size_t packed = rung == Isa::ref ? 0 : convolutions ? 4 : 2;
      EXPECT_EQ(report.packed.size(), packed) << report.str();
      for (int threads : {1, 2, 3}) {
        at::set_num_threads(threads);
        EXPECT_TRUE(at::equal(network->forward(x), expected)) << isa_name(rung) << ", " << threads;
        const auto row = x.slice(0, 0, 1);
        EXPECT_TRUE(at::equal(network->forward(row), expected.slice(0, 0, 1)));
      }
    }
  };
  const Isa before = isa();
  for (const Isa rung : machine_isas()) {
    set_isa(rung);
    run_all(rung);
  }
  set_isa(before);
}

TEST(Prepack, SaysWhatItDid) {
  const OverrideTest on;
  auto network = frozen_network(at::kHalf);
  if (isa() > Isa::ref) {
    EXPECT_EQ(prepack(*network).str(),
              "0: Conv2d\n1: Conv2d\n4: Linear\n5: Linear\n2: left alone, groups\n");
  }
  auto wide = frozen_network(at::kFloat);
  EXPECT_TRUE(prepack(*wide).packed.empty());
}

TEST(Prepack, OneWeight) {
  const OverrideTest on;
  const auto line = torch::randn({8, 8, 3}).to(at::kHalf);
  EXPECT_EQ(prepack_weight(line).empty(), isa() > Isa::ref);
  EXPECT_EQ(prepack_weight(line, 2), "groups");
  EXPECT_EQ(prepack_weight(line.to(at::kDouble)), "its weight isn't fp16 or bf16");
  EXPECT_EQ(prepack_weight(line.clone().requires_grad_(true)), "its weight requires a gradient");
  for (const auto& each : {line[0][0], line.view({1, 1, 8, 8, 3}), line.slice(0, 0, 0)}) {
    EXPECT_EQ(prepack_weight(each), "no kernel of this rung reads a pack of it");
  }
}

TEST(Prepack, AWeightThatTrainsIsAnErrorAndNothingIsPacked) {
  auto network = frozen_network(at::kHalf);
  network->ptr(5)->as<tnn::LinearImpl>()->weight.requires_grad_(true);
  try {
    prepack(*network);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("5.weight"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(has_pack(network->ptr(4)->as<tnn::LinearImpl>()->weight));
}

class PackedLinear {
 public:
  PackedLinear() {
    torch::manual_seed(33);
    layer = tnn::Linear(64, 48);
    layer->to(at::kHalf);
    for (auto& each : layer->parameters()) each.requires_grad_(false);
    prepack(*layer);
  }
  const at::Tensor& weight() { return layer->weight; }
  // Whether a pass gives what the weight as it is now gives.
  void expect_current() {
    const auto x = torch::randn({3, 64}).to(at::kHalf);
    EXPECT_TRUE(at::equal(layer->forward(x), at::linear(x, weight().clone(), layer->bias)));
  }
  tnn::Linear layer{nullptr};
};

TEST(Prepack, AWriteInPlaceIsPackedAnew) {
  const OverrideTest on;
  PackedLinear packed;
  const auto first = ops::find_packed(packed.weight().t(), ops::WeightUse::matrix);
  packed.expect_current();
  packed.weight().mul_(2);
  packed.expect_current();
  if (isa() > Isa::ref) {
    const auto second = ops::find_packed(packed.weight().t(), ops::WeightUse::matrix);
    EXPECT_NE(second, nullptr);
    EXPECT_NE(second, first);
    EXPECT_EQ(ops::find_packed(packed.weight().t(), ops::WeightUse::matrix), second);
  }
}

TEST(Prepack, OtherMemoryOrTrainingEndsIt) {
  const OverrideTest on;
  if (isa() == Isa::ref) GTEST_SKIP() << "the reference rung packs nothing";
  {
    PackedLinear packed;
    EXPECT_TRUE(has_pack(packed.weight()));
    packed.weight().requires_grad_(true);
    EXPECT_FALSE(has_pack(packed.weight()));
    packed.expect_current();
  }
  {
    PackedLinear packed;
    packed.weight().set_data(torch::randn({48, 64}).to(at::kHalf));
    EXPECT_FALSE(has_pack(packed.weight()));
    packed.expect_current();
  }
  {
    PackedLinear packed;
    unpack(*packed.layer);
    EXPECT_FALSE(has_pack(packed.weight()));
    packed.expect_current();
  }
  // Freed: another tensor at its address has no pack.
  at::Tensor at_its_address;
  {
    PackedLinear packed;
    at_its_address = torch::from_blob(packed.weight().data_ptr(), {48, 64}, at::kHalf);
    EXPECT_TRUE(has_pack(at_its_address));  // the same memory
  }
  EXPECT_FALSE(ops::find_packed(torch::randn({64, 48}).to(at::kHalf), ops::WeightUse::matrix));
  trim();
}

TEST(Prepack, ManyThreadsFindAndPackAnew) {
  const OverrideTest on;
  PackedLinear packed;
  const auto x = torch::randn({3, 64}).to(at::kHalf);
  packed.weight().mul_(0.5);
  const auto expected = at::linear(x, packed.weight().clone(), packed.layer->bias);
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { right += at::equal(packed.layer->forward(x), expected); });
  }
  for (auto& each : threads) each.join();
  EXPECT_EQ(right.load(), 4);
}

}  // namespace
}  // namespace halftone
