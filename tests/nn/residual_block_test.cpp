#include "halftone/nn/residual_block.h"

#include <torch/torch.h>

#include <string>
#include <vector>

#include "halftone/kernels/batch_norm/batch_norm.h"
#include "halftone/nn/fuse.h"
#include "halftone/precision/autocast.h"
#include "tests/ops/override_support.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

namespace tnn = torch::nn;

enum class Variant { residual, no_last_relu, scaled, detached, failing };

// As one writes it with LibTorch.
struct UserBlockImpl : tnn::Module {
  UserBlockImpl(std::int64_t in, std::int64_t out, std::int64_t stride,
                Variant kind = Variant::residual)
      : variant(kind) {
    const auto options = [](std::int64_t from, std::int64_t to, std::int64_t step) {
      return tnn::Conv2dOptions(from, to, 3).stride(step).padding(1).bias(false);
    };
    conv1 = register_module("conv1", tnn::Conv2d(options(in, out, stride)));
    bn1 = register_module("bn1", tnn::BatchNorm2d(out));
    relu = register_module("relu", tnn::ReLU(tnn::ReLUOptions(true)));
    conv2 = register_module("conv2", tnn::Conv2d(options(out, out, 1)));
    bn2 = register_module("bn2", tnn::BatchNorm2d(out));
    if (in != out || stride != 1) {
      downsample = register_module(
          "downsample",
          tnn::Sequential(tnn::Conv2d(tnn::Conv2dOptions(in, out, 1).stride(stride).bias(false)),
                          tnn::BatchNorm2d(out)));
    }
  }

  at::Tensor forward(at::Tensor x) {
    at::Tensor residual = x;
    if (downsample) residual = downsample->forward(x);
    if (variant == Variant::detached) residual = residual.detach();
    if (variant == Variant::failing) throw std::runtime_error("not today");
    auto h = bn2(conv2(relu(bn1(conv1(x)))));
    h += variant == Variant::scaled ? 0.5 * residual : residual;
    return variant == Variant::no_last_relu ? h : relu(h);
  }

  Variant variant;
  tnn::Conv2d conv1{nullptr}, conv2{nullptr};
  tnn::BatchNorm2d bn1{nullptr}, bn2{nullptr};
  tnn::ReLU relu{nullptr};
  tnn::Sequential downsample{nullptr};
};
TORCH_MODULE(UserBlock);

tnn::Sequential user_network() {
  torch::manual_seed(21);
  return tnn::Sequential(UserBlock(8, 8, 1), UserBlock(8, 16, 2), UserBlock(16, 16, 1));
}

struct BlockStep {
  at::Tensor output;
  std::vector<at::Tensor> gradients, buffers;
};

BlockStep block_step(tnn::Sequential& network, const at::Tensor& x) {
  const at::Tensor y = network->forward(x);
  torch::manual_seed(22);
  const at::Tensor g = torch::randn(y.sizes());
  auto inputs = network->parameters();
  inputs.push_back(x);
  BlockStep step{y.detach(), torch::autograd::grad({y}, inputs, {g.to(y.scalar_type())}), {}};
  for (const auto& each : network->buffers()) step.buffers.push_back(each.clone());
  return step;
}

at::Tensor user_image(at::ScalarType type) {
  torch::manual_seed(23);
  return torch::randn({4, 8, 12, 12}).to(type).requires_grad_();
}

TEST(ResidualBlock, FuseReplacesBlocksOfOnesOwn) {
  auto network = user_network();
  const auto names = network->named_parameters().keys();
  const auto parameters = network->parameters();
  network->ptr(1)->as<UserBlock>()->bn1->eval();
  const auto buffers = [&] {
    std::vector<at::Tensor> values;
    for (const auto& each : network->buffers()) values.push_back(each.clone());
    return values;
  };
  const auto before = buffers();
  torch::manual_seed(5);
  const auto next = torch::rand({1});
  torch::manual_seed(5);
  const FusionReport report = fuse(*network);
  EXPECT_TRUE(at::equal(torch::rand({1}), next)) << "the generator moved";
  ASSERT_GE(report.fused.size(), 3u) << report.str();
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(report.fused[i].text, "Conv2d + BatchNorm2d + add + ReLU");
    EXPECT_TRUE(network->ptr(i)->as<nn::ResidualBlockImpl>() != nullptr);
  }
  EXPECT_EQ(network->named_parameters().keys(), names);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    EXPECT_TRUE(network->parameters()[i].is_same(parameters[i]));
    EXPECT_FALSE(parameters[i].grad().defined());
  }
  const auto after = buffers();
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(at::equal(after[i], before[i]));
  const auto children = network->ptr(1)->named_children();
  EXPECT_TRUE(network->ptr(1)->is_training());
  EXPECT_FALSE(children["bn1"]->is_training());
  EXPECT_TRUE(children["bn2"]->is_training());
  EXPECT_TRUE(fuse(*network).fused.empty());
}

TEST(ResidualBlock, Fp32IsTheUsersBlockBitForBit) {
  const OverrideTest on;
  for (const bool training : {true, false}) {
    auto plain = user_network(), fused = user_network();
    fuse(*fused);
    auto copy = std::dynamic_pointer_cast<tnn::SequentialImpl>(fused->clone());
    plain->train(training), fused->train(training), copy->train(training);
    const auto x = user_image(at::kFloat);
    const BlockStep expected = block_step(plain, x), found = block_step(fused, x);
    EXPECT_TRUE(at::equal(found.output, expected.output));
    for (std::size_t i = 0; i < expected.gradients.size(); ++i) {
      EXPECT_TRUE(at::equal(found.gradients[i], expected.gradients[i])) << i;
    }
    for (std::size_t i = 0; i < expected.buffers.size(); ++i) {
      EXPECT_TRUE(at::equal(found.buffers[i], expected.buffers[i])) << i;
    }
    EXPECT_TRUE(at::equal(copy->forward(x), expected.output));
  }
}

TEST(ResidualBlock, HalfIsNoFurtherFromFp64ThanTheUsersBlock) {
  const OverrideTest on;
  for (const auto type : {at::kHalf, at::kBFloat16}) {
    auto exact = user_network(), plain = user_network(), fused = user_network();
    exact->to(at::kDouble), plain->to(type), fused->to(type);
    EXPECT_GE(fuse(*fused).fused.size(), 3u);  // tried in half, too
    const auto x = user_image(type);
    const auto wide = x.detach().to(at::kDouble).requires_grad_();
    const BlockStep expected = block_step(exact, wide);
    const BlockStep stock = block_step(plain, x), found = block_step(fused, x);
    const auto error = [](const at::Tensor& a, const at::Tensor& b) {
      return ((a.to(at::kDouble) - b).norm() / b.norm()).item<double>();
    };
    const double unit = type == at::kHalf ? tolerance::kFp16 : tolerance::kBf16;
    EXPECT_LE(error(found.output, expected.output),
              error(stock.output, expected.output) + unit / 2);
    for (std::size_t i = 0; i < expected.gradients.size(); ++i) {
      EXPECT_LE(error(found.gradients[i], expected.gradients[i]),
                2 * error(stock.gradients[i], expected.gradients[i]) + unit)
          << i;
    }
  }
}

TEST(ResidualBlock, AForwardOfAnotherKindIsLeftAloneAndSaid) {
  for (const Variant variant : {Variant::no_last_relu, Variant::scaled, Variant::detached}) {
    tnn::Sequential network(UserBlock(8, 8, 1, variant));
    const FusionReport report = fuse(*network);
    EXPECT_TRUE(report.fused.empty());
    ASSERT_FALSE(report.left_alone.empty());
    EXPECT_EQ(report.left_alone[0].text, "a residual block but for what forward() computes");
    EXPECT_TRUE(network->ptr(0)->as<UserBlockImpl>() != nullptr);
  }
  tnn::Sequential failing(UserBlock(8, 8, 1, Variant::failing));
  const FusionReport report = fuse(*failing);
  ASSERT_FALSE(report.left_alone.empty());
  EXPECT_EQ(report.left_alone[0].text, "a residual block, but forward() fails: not today");
}

}  // namespace
}  // namespace halftone
