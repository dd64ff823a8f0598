#include "halftone/nn/layers.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <functional>
#include <utility>
#include <vector>

#include "halftone/nn/recipe.h"
#include "halftone/ops/enable.h"
#include "halftone/ops/memory.h"
#include "halftone/precision/autocast.h"
#include "tests/ops/override_support.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::nn {
namespace {

using torch::nn::Conv2dOptions;

// The same tensors in a layer of LibTorch's.
template <class Layer, class Block>
Layer stock_layer(const Block& block) {
  return Layer(std::make_shared<typename Layer::ContainedType>(*block));
}

// Two convolutions with normalisation, pool, linear layers with GELU and LayerNorm; `lean`: with
// this folder's layers, else with LibTorch's around the same BatchNormReLU and LayerNorm.
struct Chain {
  explicit Chain(at::ScalarType type) {
    for (torch::nn::Module* each : std::vector<torch::nn::Module*>{
             conv1.get(), conv2.get(), fc1.get(), fc2.get(), fc3.get()}) {
      each->to(type);
    }
    const at::NoGradGuard no_grad;
    bn1->weight.uniform_(0.5, 1.5);
    bn1->bias.normal_();
    norm->weight.uniform_(0.5, 1.5);
  }

  at::Tensor run(const at::Tensor& x, bool lean) {
    if (lean) {
      const auto image = pool(bn2(conv2(bn1(conv1(x)))));
      return fc3(fc2(norm(fc1(image.flatten(1)))));
    }
    const auto stock = [](auto& block) {
      using Block = typename std::remove_reference_t<decltype(*block)>;
      if constexpr (std::is_same_v<Block, Conv2dImpl>) return stock_layer<torch::nn::Conv2d>(block);
      if constexpr (std::is_same_v<Block, LinearImpl>) return stock_layer<torch::nn::Linear>(block);
      if constexpr (std::is_same_v<Block, MaxPool2dImpl>) {
        return stock_layer<torch::nn::MaxPool2d>(block);
      }
    };
    auto c1 = stock(conv1), c2 = stock(conv2);
    auto p = stock(pool);
    auto l1 = stock(fc1), l3 = stock(fc3);
    const auto image = p(bn2(c2(bn1(c1(x)))));
    const auto z = at::linear(norm(l1(image.flatten(1))), fc2->weight, fc2->bias);
    return l3(at::gelu(z));
  }

  std::vector<at::Tensor> parameters() const {
    return {conv1->weight, conv2->weight, bn1->weight, bn1->bias,   bn2->weight,
            fc1->weight,   fc2->weight,   fc3->weight, norm->weight};
  }

  Conv2d conv1{Conv2dOptions(3, 8, 3)}, conv2{Conv2dOptions(8, 5, 3).stride(2).padding(1)};
  BatchNormReLU bn1{8}, bn2{5};
  MaxPool2d pool{torch::nn::MaxPool2dOptions(2)};
  Linear fc1{45, 16}, fc3{24, 6};
  LayerNorm norm{torch::nn::LayerNormOptions({16})};
  LinearGelu fc2{16, 24};
};

at::Tensor half_image(at::ScalarType type, at::MemoryFormat format) {
  torch::manual_seed(4);
  return torch::randn({2, 3, 14, 14}).to(type).contiguous(format).requires_grad_();
}

bool same_bits(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!at::equal(a[i], b[i])) return false;
  }
  return a.size() == b.size();
}

TEST(LeanLayers, GiveTheBitsOfLibTorchs) {
  const OverrideTest on;
  for (auto type : {at::kHalf, at::kBFloat16, at::kFloat}) {
    for (auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      const auto run = [&](bool lean) {
        torch::manual_seed(3);
        Chain chain(type);
        const auto x = half_image(type, format);
        auto inputs = chain.parameters();
        inputs.push_back(x);
        const auto y = chain.run(x, lean);
        auto results = torch::autograd::grad({y.square().sum()}, inputs);
        for (const auto& each : {y, chain.bn1->running_var, chain.bn1->running_mean}) {
          results.push_back(each);
        }
        return results;
      };
      EXPECT_TRUE(same_bits(run(true), run(false))) << type << ", " << format;
    }
  }
}

TEST(LeanLayers, BackwardTwiceAndSecondDerivativesAreLibTorchs) {
  const OverrideTest on;
  Chain chain(at::kBFloat16);
  const auto x = half_image(at::kBFloat16, at::MemoryFormat::ChannelsLast);
  const auto penalty = [&](bool lean) {
    const auto y = chain.run(x, lean).to(at::kFloat).square().sum();
    const auto once = torch::autograd::grad({y}, {x, chain.conv2->weight}, {}, true);
    const auto first = torch::autograd::grad({y}, {x}, {}, true, /*create_graph=*/true)[0];
    auto results = torch::autograd::grad({first.to(at::kFloat).square().sum()},
                                         {x, chain.conv2->weight, chain.fc3->weight});
    results.insert(results.end(), once.begin(), once.end());
    return results;
  };
  EXPECT_TRUE(same_bits(penalty(true), penalty(false)));
}

// The slope along a direction, of the function in fp64 by central differences: what no backward
// pass of ours or of LibTorch's took part in.
double numeric_slope(const std::function<at::Tensor(const at::Tensor&)>& loss, const at::Tensor& at,
                     const at::Tensor& direction) {
  constexpr double kStep = 1e-6;
  const at::NoGradGuard no_grad;
  return (loss(at + kStep * direction) - loss(at - kStep * direction)).item<double>() / (2 * kStep);
}

// g . d of the half function against the slope of the one in fp64, along d = g itself, where it is
// largest: the error of g in all its elements adds up in squares, as a relative one of their norm.
void expect_slope(const at::Tensor& gradient, const at::Tensor& point, double tolerance,
                  const std::function<at::Tensor(const at::Tensor&)>& loss) {
  const auto direction = gradient.to(at::kDouble) / gradient.to(at::kDouble).norm();
  const double expected = numeric_slope(loss, point.detach().to(at::kDouble), direction);
  const double found = (gradient.to(at::kDouble) * direction).sum().item<double>();
  EXPECT_NEAR(found, expected, tolerance * std::abs(expected));
}

TEST(LeanLayers, GradientsAreTheSlopesOfFiniteDifferences) {
  const OverrideTest on;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    // Rounding inside and at the end; a chain of three operations, each as one.
    const double tolerance = 4 * (type == at::kHalf ? tolerance::kFp16 : tolerance::kBf16);
    torch::manual_seed(8);
    ConvBnReLU block(Conv2dOptions(3, 6, 3).bias(false));
    block->conv->to(type);
    const auto probe = torch::randn({2, 6, 7, 7}).to(type).to(at::kDouble);
    const auto x = torch::randn({2, 3, 9, 9}).to(type).requires_grad_();
    const auto exact = [&](const at::Tensor& image, const at::Tensor& filters) {
      const auto z = at::conv2d(image, filters);
      const auto y = at::batch_norm(z, block->bn->weight.to(at::kDouble),
                                    block->bn->bias.to(at::kDouble), {}, {}, true, 0, 1e-5, false);
      return (at::relu(y) * probe).sum();
    };
    (block(x) * probe.to(type)).sum().backward();
    const auto weight = block->conv->weight.detach().to(at::kDouble);
    expect_slope(x.grad(), x, tolerance, [&](const auto& p) { return exact(p, weight); });
    const auto image = x.detach().to(at::kDouble);
    expect_slope(block->conv->weight.grad(), block->conv->weight, tolerance,
                 [&](const auto& p) { return exact(image, p); });

    LayerNorm norm(torch::nn::LayerNormOptions({20}));
    LinearGelu fc1(20, 12);
    Linear fc2(12, 5);
    fc1->to(type), fc2->to(type);
    const auto rows = torch::randn({7, 20}).to(type).requires_grad_();
    const auto rows_probe = torch::randn({7, 5}).to(type).to(at::kDouble);
    (fc2(fc1(norm(rows))) * rows_probe.to(type)).sum().backward();
    const auto exact_rows = [&](const at::Tensor& p, const at::Tensor& filters) {
      const auto wide = [](const at::Tensor& t) { return t.detach().to(at::kDouble); };
      const auto h = at::layer_norm(p, {20}, wide(norm->weight), wide(norm->bias));
      const auto z = at::gelu(at::linear(h, filters, wide(fc1->bias)));
      return (at::linear(z, wide(fc2->weight), wide(fc2->bias)) * rows_probe).sum();
    };
    const auto fc1_weight = fc1->weight.detach().to(at::kDouble);
    expect_slope(rows.grad(), rows, tolerance,
                 [&](const auto& p) { return exact_rows(p, fc1_weight); });
    const auto wide_rows = rows.detach().to(at::kDouble);
    expect_slope(fc1->weight.grad(), fc1->weight, tolerance,
                 [&](const auto& p) { return exact_rows(wide_rows, p); });
  }
}

// What the graph keeps after forward, in bytes.
std::int64_t kept_by(const std::function<at::Tensor()>& run) {
  memory::install_counting_allocator();
  const auto before = memory::current_tensor_bytes();
  const at::Tensor loss = run().sum();
  const auto kept = memory::current_tensor_bytes() - before;
  memory::uninstall_counting_allocator();
  return kept;
}

TEST(LeanLayers, KeepOneActivationWhereLibTorchKeepsTwo) {
  const OverrideTest on;
  constexpr std::int64_t kMap = 2 * 4 * 16 * 32 * 32;  // bytes of an activation, (4, 16, 32, 32)
  constexpr std::int64_t kSmall = kMap / 16;           // statistics, packed places, the loss
  const auto x = torch::randn({4, 16, 32, 32}).to(at::kBFloat16);
  const auto make = [] {
    ConvBnReLU block(Conv2dOptions(16, 16, 3).padding(1).bias(false));
    block->conv->to(at::kBFloat16);
    return block;
  };
  ConvBnReLU a = make(), b = make(), c = make();
  MaxPool2d pool(torch::nn::MaxPool2dOptions(2));
  const auto lean = kept_by([&] { return pool(c(b(a(x)))); });
  const auto stock = kept_by([&] {
    const auto run = [](ConvBnReLU& block, const at::Tensor& h) {
      auto conv = stock_layer<torch::nn::Conv2d>(block->conv);
      auto bn = stock_layer<torch::nn::BatchNorm2d>(block->bn);
      return torch::relu(bn(conv(h)));
    };
    return torch::max_pool2d(run(c, run(b, run(a, x))), 2);
  });
  // Each convolution's result; places in int16, a quarter as many as elements.
  EXPECT_NEAR(lean, 3 * kMap + kMap / 4, kSmall);
  // And what ReLU gave, which convolution and pool keep; places in int64.
  EXPECT_NEAR(stock, 6 * kMap + kMap, kSmall);
}

TEST(LeanLayers, LinearLayersKeepWhatGeluAndLayerNormTook) {
  const OverrideTest on;
  constexpr std::int64_t kRow = 2 * 64 * 256;  // bytes of (64, 256)
  constexpr std::int64_t kSmall = kRow / 8;    // mean and invstd, the loss
  for (auto type : {at::kHalf, at::kBFloat16}) {
    const auto x = torch::randn({64, 256}).to(type);
    LayerNorm norm(torch::nn::LayerNormOptions({256}));
    LinearGelu fc1(256, 1024);
    Linear fc2(1024, 256);
    fc1->to(type), fc2->to(type);
    const auto rows = x.view({4, 16, 256}).detach().requires_grad_();
    const auto lean = kept_by([&] { return fc2(fc1(norm(rows))); });
    const auto stock = kept_by([&] {
      const auto h = norm(rows);
      return at::linear(at::gelu(at::linear(h, fc1->weight, fc1->bias)), fc2->weight, fc2->bias);
    });
    EXPECT_NEAR(lean, 4 * kRow, kSmall);             // linear(x)
    EXPECT_NEAR(stock, (1 + 4 + 4) * kRow, kSmall);  // LayerNorm's and GELU's result, too
  }
}

// Four residual blocks without their convolutions; `apart`: each residual as a view, of which no
// block knows where it comes from.
struct ResidualChain {
  at::Tensor run(bool apart) {
    at::Tensor y = norms[0](x[0], x[4]);
    for (std::size_t i = 1; i < 4; ++i) y = norms[i](x[i], apart ? y.view(y.sizes()) : y);
    return y;
  }
  std::vector<BatchNormAddReLU> norms{BatchNormAddReLU(16), BatchNormAddReLU(16),
                                      BatchNormAddReLU(16), BatchNormAddReLU(16)};
  std::vector<at::Tensor> x;
};

ResidualChain residual_chain(at::ScalarType type) {
  torch::manual_seed(6);
  ResidualChain chain;
  for (int i = 0; i < 5; ++i) {
    chain.x.push_back(torch::randn({4, 16, 32, 32}).to(type).requires_grad_());
  }
  return chain;
}

TEST(LeanLayers, OfAChainOfResidualBlocksEachSecondResultIsKept) {
  const OverrideTest on;
  constexpr std::int64_t kMap = 2 * 4 * 16 * 32 * 32;  // bytes of an activation, (4, 16, 32, 32)
  ResidualChain chain = residual_chain(at::kHalf);
  EXPECT_NEAR(kept_by([&] { return chain.run(false); }), 2 * kMap, kMap / 16);
  EXPECT_NEAR(kept_by([&] { return chain.run(true); }), 4 * kMap, kMap / 16);
}

TEST(LeanLayers, AChainOfResidualBlocksHasTheGradientsOfTheBlocksApart) {
  const OverrideTest on;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    for (bool training : {true, false}) {
      ResidualChain chain = residual_chain(type);
      for (auto& each : chain.norms) each->train(training);
      std::vector<at::Tensor> inputs = chain.x;
      for (auto& each : chain.norms) inputs.push_back(each->weight);
      const auto gradients = [&](bool apart) {
        const auto y = 1e-3 * chain.run(apart).to(at::kFloat).square().sum();  // fp16 overflows
        auto found = torch::autograd::grad({y}, inputs, {}, true);
        const auto first = torch::autograd::grad({y}, {chain.x[0]}, {}, true, true)[0];
        const auto second = torch::autograd::grad({first.to(at::kFloat).square().sum()}, inputs, {},
                                                  false, false, /*allow_unused=*/true);
        for (const auto& each : second) {
          if (each.defined()) found.push_back(each);
        }
        return found;
      };
      EXPECT_TRUE(same_bits(gradients(false), gradients(true))) << type << ", " << training;
    }
  }
}

TEST(LeanLayers, AWeightWrittenToBeforeBackwardIsAnError) {
  const OverrideTest on;
  Chain chain(at::kHalf);
  const auto x = half_image(at::kHalf, at::MemoryFormat::Contiguous);
  const auto y = chain.conv2(chain.bn1(chain.conv1(x))).sum();
  {
    const at::NoGradGuard no_grad;
    chain.bn1->weight.add_(1);
  }
  // Normalisation's own backward pass, which would notice, does not run.
  EXPECT_THROW(torch::autograd::grad({y}, {chain.conv2->weight}), c10::Error);
}

TEST(LeanLayers, KeepAnActivationThatWasWrittenTo) {
  const OverrideTest on;
  Chain chain(at::kHalf);
  const auto x = half_image(at::kHalf, at::MemoryFormat::Contiguous);
  const auto h = chain.bn1(chain.conv1(x));
  {
    const at::NoGradGuard no_grad;
    h.mul_(2);
  }
  EXPECT_FALSE(recipe_of(h).has_value());
  const auto y = chain.conv2(h);
  const auto g = torch::autograd::grad({y.sum()}, {chain.conv2->weight})[0];
  const auto expected = torch::autograd::grad(
      {stock_layer<torch::nn::Conv2d>(chain.conv2)(h.detach()).sum()}, {chain.conv2->weight})[0];
  EXPECT_TRUE(at::equal(g, expected));
}

TEST(LeanLayers, LayerNormStaysHalfUnderAutocastUnlessAPolicyNamesIt) {
  const OverrideTest on;
  LayerNorm norm(torch::nn::LayerNormOptions({33}));
  const auto x = torch::randn({5, 33}).to(at::kBFloat16).requires_grad_();
  const auto exact = torch::layer_norm(x.to(at::kDouble), {33});
  Policy policy = Policy::preset("bf16");
  {
    const Autocast autocast(policy);
    const auto y = norm(x);
    EXPECT_EQ(y.scalar_type(), at::kBFloat16);
    EXPECT_TRUE(at::allclose(y.to(at::kDouble), exact, tolerance::kBf16, tolerance::kBf16));
    y.sum().backward();  // inside the region
    EXPECT_EQ(norm->weight.grad().scalar_type(), at::kFloat);
    EXPECT_EQ(x.grad().scalar_type(), at::kBFloat16);
  }
  policy.operations = {{"layer_norm", Format::fp32}};
  const Autocast autocast(policy);
  EXPECT_EQ(norm(x).scalar_type(), at::kFloat);
}

TEST(LeanLayers, ObeyAutocastAndItsPolicy) {
  const OverrideTest on;
  ConvBnReLU a(Conv2dOptions(3, 4, 3)), b(Conv2dOptions(4, 4, 3));
  const auto x = torch::randn({2, 3, 8, 8});
  Policy policy = Policy::preset("fp16");
  const auto run = [&] {
    const Autocast autocast(policy);
    const auto h = a(x);
    return std::pair(h.scalar_type(), b(h).scalar_type());
  };
  EXPECT_TRUE(run() == std::pair(at::kHalf, at::kHalf));
  policy.operations = {{"conv2d", Format::fp32}};
  EXPECT_TRUE(run() == std::pair(at::kFloat, at::kFloat));
}

TEST(LeanLayers, EvaluationKeepsRunningStatisticsAndSavesAsMuch) {
  const OverrideTest on;
  Chain chain(at::kHalf);
  for (BatchNormReLU each : {chain.bn1, chain.bn2}) each->eval();
  const auto before = chain.bn1->running_mean.clone();
  const auto x = half_image(at::kHalf, at::MemoryFormat::ChannelsLast);
  EXPECT_TRUE(recipe_of(chain.bn1(chain.conv1(x))).has_value());
  const auto gradients = [&](bool lean) {
    return torch::autograd::grad({chain.run(x, lean).sum()}, chain.parameters());
  };
  EXPECT_TRUE(same_bits(gradients(true), gradients(false)));
  EXPECT_TRUE(at::equal(chain.bn1->running_mean, before));
}

TEST(LeanLayers, ClonesAreOfTheirClassAndApart) {
  LinearGelu layer(3, 4);
  layer->approximate = "tanh";
  const auto copy = std::dynamic_pointer_cast<LinearGeluImpl>(layer->clone());
  ASSERT_TRUE(copy != nullptr);
  EXPECT_EQ(copy->approximate, "tanh");
  EXPECT_TRUE(at::equal(copy->weight, layer->weight));
  EXPECT_FALSE(copy->weight.is_alias_of(layer->weight));
  EXPECT_TRUE(copy->named_parameters()["weight"].is_same(copy->weight));
  const auto block = ConvBnReLU(Conv2dOptions(3, 4, 3));
  EXPECT_EQ(block->named_parameters().keys(),
            (std::vector<std::string>{"conv.weight", "conv.bias", "bn.weight", "bn.bias"}));
}

}  // namespace
}  // namespace halftone::nn
