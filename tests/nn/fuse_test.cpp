#include "halftone/nn/fuse.h"

#include <torch/torch.h>

#include <functional>
#include <string>
#include <vector>

#include "halftone/nn/layers.h"
#include "halftone/ops/memory.h"
#include "halftone/precision/autocast.h"
#include "tests/ops/override_support.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

namespace tnn = torch::nn;

tnn::Conv2d plain_conv(std::int64_t in, std::int64_t out) {
  return tnn::Conv2d(tnn::Conv2dOptions(in, out, 3).padding(1).bias(false));
}

// A Sequential can lie in another only with a forward() of one type.
struct NestedImpl : tnn::SequentialImpl {
  using tnn::SequentialImpl::SequentialImpl;
  at::Tensor forward(const at::Tensor& x) { return tnn::SequentialImpl::forward(x); }
};
TORCH_MODULE(Nested);

// Nested, with a pair that is no pair, and a network's head.
tnn::Sequential plain_network() {
  torch::manual_seed(9);
  return tnn::Sequential(plain_conv(3, 8), tnn::BatchNorm2d(8), tnn::ReLU(tnn::ReLUOptions(true)),
                         Nested(plain_conv(8, 8), tnn::BatchNorm2d(8), tnn::ReLU(),
                                plain_conv(8, 8), tnn::BatchNorm2d(8)),
                         tnn::MaxPool2d(2), tnn::Flatten(),
                         tnn::LayerNorm(tnn::LayerNormOptions({128})), tnn::Linear(128, 32),
                         tnn::GELU(), tnn::Linear(32, 5));
}

std::vector<std::string> all_names(const tnn::Module& module) {
  auto names = module.named_parameters().keys();
  for (const auto& each : module.named_buffers().keys()) names.push_back(each);
  for (const auto& each : module.named_children().keys()) names.push_back(each);
  return names;
}

struct StepResult {
  at::Tensor output, loss;
  std::vector<at::Tensor> gradients;
};

StepResult network_step(tnn::Sequential& network, const char* preset) {
  torch::manual_seed(2);
  const auto x = torch::randn({4, 3, 8, 8});
  network->zero_grad();
  StepResult result;
  {
    const Autocast autocast(Policy::preset(preset));
    result.output = network->forward(x);
  }
  result.loss = result.output.to(at::kFloat).square().mean();
  result.loss.backward();
  for (const auto& each : network->parameters()) result.gradients.push_back(each.grad().clone());
  return result;
}

TEST(Fuse, KeepsNamesAndTensors) {
  auto network = plain_network();
  const auto names = all_names(*network);
  const auto parameters = network->parameters(), buffers = network->buffers();
  fuse(*network);
  EXPECT_EQ(all_names(*network), names);
  const auto now = network->parameters(), buffers_now = network->buffers();
  ASSERT_EQ(now.size(), parameters.size());
  ASSERT_EQ(buffers_now.size(), buffers.size());
  for (std::size_t i = 0; i < now.size(); ++i) EXPECT_TRUE(now[i].is_same(parameters[i]));
  for (std::size_t i = 0; i < buffers.size(); ++i) EXPECT_TRUE(buffers_now[i].is_same(buffers[i]));
}

TEST(Fuse, ReportsWhatItDidAndWhy) {
  auto network = plain_network();
  const std::string lean = ": input computed again where it can be\n";
  EXPECT_EQ(fuse(*network).str(), "0" + lean + "1: BatchNorm2d + ReLU\n4" + lean +
                                      "6: LayerNorm\n7: Linear + GELU\n9" + lean + "3.0" + lean +
                                      "3.1: BatchNorm2d + ReLU\n3.3" + lean +
                                      "3.4: left alone, BatchNorm2d: no ReLU follows\n");
  const FusionReport again = fuse(*network);
  EXPECT_TRUE(again.fused.empty()) << again.str();
}

TEST(Fuse, Fp32IsTheUnfusedNetworkBitForBit) {
  const OverrideTest on;
  for (bool training : {true, false}) {
    auto plain = plain_network(), fused = plain_network();
    fuse(*fused);
    plain->train(training), fused->train(training);
    const auto expected = network_step(plain, "fp32"), found = network_step(fused, "fp32");
    EXPECT_TRUE(at::equal(found.output, expected.output));
    for (std::size_t i = 0; i < expected.gradients.size(); ++i) {
      EXPECT_TRUE(at::equal(found.gradients[i], expected.gradients[i])) << "parameter " << i;
    }
  }
}

TEST(Fuse, HalfIsNoFurtherFromFp32ThanTheUnfusedNetwork) {
  const OverrideTest on;
  for (const char* preset : {"bf16", "fp16"}) {
    const double tolerance = std::string(preset) == "fp16" ? tolerance::kFp16 : tolerance::kBf16;
    for (bool training : {true, false}) {
      auto exact = plain_network(), plain = plain_network(), fused = plain_network();
      fuse(*fused);
      for (auto* each : {&exact, &plain, &fused}) (*each)->train(training);
      const auto expected = network_step(exact, "fp32");
      const auto stock = network_step(plain, preset), found = network_step(fused, preset);
      const auto error = [](const at::Tensor& a, const at::Tensor& b) {
        return ((a.to(at::kFloat) - b.to(at::kFloat)).norm() / b.norm()).item<double>();
      };
      EXPECT_LT(error(found.output, expected.output), 3 * tolerance);  // of seven layers, sqrt(7)
      for (std::size_t i = 0; i < expected.gradients.size(); ++i) {
        const double own = error(found.gradients[i], expected.gradients[i]);
        EXPECT_LT(own, 2 * error(stock.gradients[i], expected.gradients[i]) + tolerance)
            << preset << ", parameter " << i;
      }
    }
  }
}

TEST(Fuse, AnOptimizerMadeBeforeTrainsTheFusedNetwork) {
  const OverrideTest on;
  auto network = plain_network();
  torch::optim::SGD optimizer(network->parameters(), torch::optim::SGDOptions(0.2));
  const auto first = network_step(network, "bf16").loss.item<double>();
  fuse(*network);
  double last = first;
  for (int i = 0; i < 20; ++i) {
    last = network_step(network, "bf16").loss.item<double>();
    optimizer.step();
  }
  EXPECT_LT(last, 0.2 * first);
}

TEST(Fuse, ClonesOfTheFusedNetworkAreFused) {
  tnn::Sequential network(plain_conv(3, 4), tnn::BatchNorm2d(4), tnn::ReLU(), tnn::Flatten(),
                          tnn::Linear(64, 3), tnn::GELU());
  fuse(*network);
  const auto copy = std::dynamic_pointer_cast<tnn::SequentialImpl>(network->clone());
  EXPECT_TRUE(copy->ptr(1)->as<nn::BatchNormReLU>() != nullptr);
  EXPECT_TRUE(copy->ptr(4)->as<nn::LinearGelu>() != nullptr);
  EXPECT_EQ(all_names(*copy), all_names(*network));
  const auto x = torch::randn({2, 3, 4, 4});
  EXPECT_TRUE(at::equal(copy->forward(x), network->forward(x)));
}

struct OwnNormImpl : tnn::BatchNorm2dImpl {
  using tnn::BatchNorm2dImpl::BatchNorm2dImpl;
};
TORCH_MODULE(OwnNorm);

struct HolderImpl : tnn::Module {
  HolderImpl() {
    conv = register_module("conv", plain_conv(3, 4));
    body = register_module("body", tnn::Sequential(OwnNorm(4), tnn::ReLU()));
    head = register_module("head", tnn::Sequential(tnn::BatchNorm2d(4), tnn::ReLU()));
  }
  at::Tensor forward(const at::Tensor& x) { return head->forward(body->forward(conv(x))); }
  tnn::Conv2d conv{nullptr};
  tnn::Sequential body{nullptr}, head{nullptr};
};

TEST(Fuse, LeavesMembersAndDerivedClassesAlone) {
  HolderImpl holder;
  const FusionReport report = fuse(holder);
  ASSERT_EQ(report.fused.size(), 1u);
  EXPECT_EQ(report.fused[0].name, "head.0");
  ASSERT_EQ(report.left_alone.size(), 1u);
  EXPECT_EQ(report.left_alone[0].name, "conv");
  EXPECT_NE(report.left_alone[0].text.find("Conv2d: a member of "), std::string::npos);
  EXPECT_TRUE(holder.body->ptr(0)->as<OwnNorm>() != nullptr);
  EXPECT_TRUE(holder.forward(torch::randn({2, 3, 5, 5})).defined());
}

TEST(Fuse, KeepsLess) {
  const OverrideTest on;
  constexpr std::int64_t kMap = 2 * 8 * 16 * 32 * 32;  // bytes of a half activation
  const auto make = [] {
    return tnn::Sequential(plain_conv(3, 16), tnn::BatchNorm2d(16), tnn::ReLU(), plain_conv(16, 16),
                           tnn::BatchNorm2d(16), tnn::ReLU(), plain_conv(16, 16));
  };
  const auto x = torch::randn({8, 3, 32, 32});
  const auto kept = [&](tnn::Sequential network) {
    memory::install_counting_allocator();
    const auto before = memory::current_tensor_bytes();
    const Autocast autocast(Policy::preset("bf16"));
    const auto y = network->forward(x);
    const auto bytes = memory::current_tensor_bytes() - before;
    memory::uninstall_counting_allocator();
    return bytes;
  };
  auto fused = make();
  fuse(*fused);
  // The results of two normalisations with ReLU.
  EXPECT_NEAR(kept(make()) - kept(fused), 2 * kMap, kMap / 16);
}

}  // namespace
}  // namespace halftone
