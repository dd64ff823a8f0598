#include "halftone/precision/emulation.h"

#include <torch/torch.h>

#include <cmath>
#include <limits>

#include "halftone/precision/apply.h"
#include "halftone/precision/autocast.h"
#include "halftone/precision/quantize.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

// What one layer reads and what flows back into it, rounded by the formulas of policy.h.
at::Tensor fake(const at::Tensor& x, const std::string& format) {
  if (format == "none") return x;
  const double ratio = x.detach().abs().max().item<double>() / largest_number(format);
  const float scale = static_cast<float>(std::exp2(std::ceil(std::log2(ratio))));
  return quantize_dequantize(x, {.format = format}, torch::full({1}, scale));
}

Policy emulating(const std::string& weights, const std::string& activations,
                 const std::string& gradients) {
  Policy policy;
  policy.name = "test";
  policy.emulation.weights = weights;
  policy.emulation.activations = activations;
  policy.emulation.gradients = gradients;
  policy.emulation.exempt_ends = false;
  return policy;
}

struct Three : torch::nn::Module {
  torch::nn::Linear first{nullptr}, middle{nullptr}, last{nullptr};
  Three() {
    torch::manual_seed(3);
    first = register_module("first", torch::nn::Linear(40, 50));
    middle = register_module("middle", torch::nn::Linear(50, 60));
    last = register_module("last", torch::nn::Linear(60, 10));
  }
  at::Tensor forward(const at::Tensor& x) {
    return last(torch::relu(middle(torch::relu(first(x)))));
  }
};

at::Tensor forward_under(const Policy& policy, Three& net, const at::Tensor& x) {
  const Autocast autocast(policy);
  return net.forward(x);
}

at::Tensor input() {
  torch::manual_seed(4);
  return torch::randn({16, 40});
}

struct Expected {
  at::Tensor output, input, weight, bias;
};

// The products as the operation and its backward pass make them, in the same order of terms.
Expected by_hand(const Policy& policy, const at::Tensor& x, const torch::nn::Linear& layer,
                 const at::Tensor& gradient) {
  const EmulationPolicy& e = policy.emulation;
  at::Tensor q = fake(x, e.activations).detach().requires_grad_();
  at::Tensor w = fake(layer->weight, e.weights).detach().requires_grad_();
  at::Tensor b = layer->bias.detach().requires_grad_();
  const at::Tensor y = torch::nn::functional::linear(q, w, b);
  y.backward(fake(gradient, e.gradients));
  return {y.detach(), q.grad(), w.grad(), b.grad()};
}

TEST(Emulation, RoundsOperandsAndGradientsEachByItsSwitch) {
  const std::vector<Policy> policies{
      emulating("e4m3fn", "e4m3fn", "e5m2"), emulating("e4m3fn", "none", "none"),
      emulating("none", "e4m3fn", "none"),   emulating("none", "none", "e5m2"),
      emulating("e2m1fn", "e3m4", "e5m2"),   emulating("none", "none", "none")};
  std::vector<at::Tensor> outputs;
  for (const Policy& policy : policies) {
    torch::nn::Linear layer(40, 50);
    torch::manual_seed(1);
    torch::nn::init::normal_(layer->weight);
    halftone::apply(policy, *layer);
    const at::Tensor x = input().requires_grad_(), gradient = torch::randn({16, 50});
    at::Tensor y;
    {
      const Autocast autocast(policy);
      y = layer(x);
    }
    y.backward(gradient);
    const Expected expected = by_hand(policy, x.detach(), layer, gradient);
    EXPECT_TRUE(y.equal(expected.output)) << policy.to_toml();
    EXPECT_TRUE(x.grad().equal(expected.input)) << policy.to_toml();
    EXPECT_TRUE(layer->weight.grad().equal(expected.weight)) << policy.to_toml();
    EXPECT_TRUE(layer->bias.grad().equal(expected.bias)) << policy.to_toml();
    outputs.push_back(y.detach());
  }
  EXPECT_FALSE(outputs[0].equal(outputs[1]));
  EXPECT_TRUE(outputs[3].equal(outputs[5]));  // gradients alone: the forward pass is fp32's
}

// Convolutions of one to three dimensions and transposed ones, whose output is written to in place.
template <class Layer>
void expect_convolution_rounded(Layer layer, const at::Tensor& x) {
  const Policy policy = emulating("e4m3fn", "e4m3fn", "e5m2");
  halftone::apply(policy, *layer);
  at::Tensor y;
  {
    const Autocast autocast(policy);
    y = layer(x).relu_();
  }
  const at::Tensor gradient = torch::randn_like(y);
  y.backward(gradient);
  const at::Tensor weight_gradient = layer->weight.grad().clone();
  const at::Tensor mask = (y > 0).to(at::kFloat).detach();
  const at::Tensor weight = layer->weight.detach().clone();
  {
    const at::NoGradGuard no_grad;
    layer->weight.copy_(fake(weight, "e4m3fn"));
    layer->weight.mutable_grad() = at::Tensor();
  }
  const at::Tensor expected = layer(fake(x, "e4m3fn"));
  EXPECT_TRUE(y.equal(expected.relu()));
  expected.backward(fake(gradient * mask, "e5m2"));
  EXPECT_TRUE(weight_gradient.equal(layer->weight.grad()));
}

TEST(Emulation, RoundsConvolutionsOfAllDimensions) {
  using namespace torch::nn;
  torch::manual_seed(5);
  expect_convolution_rounded(Conv1d(Conv1dOptions(4, 6, 3)), torch::randn({2, 4, 9}));
  expect_convolution_rounded(Conv2d(Conv2dOptions(4, 6, 3)), torch::randn({2, 4, 9, 9}));
  expect_convolution_rounded(Conv3d(Conv3dOptions(2, 3, 3)), torch::randn({2, 2, 5, 5, 5}));
  expect_convolution_rounded(ConvTranspose2d(ConvTranspose2dOptions(4, 6, 3)),
                             torch::randn({2, 4, 5, 5}));
}

TEST(Emulation, TheFirstAndTheLastLayerAreExempt) {
  Three net;
  Policy policy = emulating("e2m1fn", "e2m1fn", "e5m2");
  policy.emulation.exempt_ends = true;
  halftone::apply(policy, net);
  const at::Tensor x = input();
  const at::Tensor h = torch::relu(net.first(x));
  const at::Tensor middle = torch::nn::functional::linear(
      fake(h, "e2m1fn"), fake(net.middle->weight, "e2m1fn"), net.middle->bias);
  EXPECT_TRUE(forward_under(policy, net, x).equal(net.last(torch::relu(middle))));
  policy.emulation.exempt_ends = false;
  EXPECT_FALSE(forward_under(policy, net, x).equal(net.last(torch::relu(middle))));
}

// Registered in this order: what embeds or normalises is no layer, biases and vectors are none.
struct Mixed : torch::nn::Module {
  torch::nn::Embedding embedding{nullptr};
  torch::nn::LayerNorm norm{nullptr};
  torch::nn::Linear a{nullptr}, b{nullptr}, c{nullptr};
  at::Tensor position;
  Mixed() {
    position = register_parameter("position", torch::zeros({4, 8}));
    embedding = register_module("embedding", torch::nn::Embedding(10, 8));
    a = register_module("a", torch::nn::Linear(8, 8));
    b = register_module("b", torch::nn::Linear(8, 8));
    norm = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({2, 4})));
    c = register_module("c", torch::nn::Linear(8, 8));
  }
};

TEST(Emulation, LayersAreCountedInTheOrderOfTheModules) {
  Mixed net;
  halftone::apply(Policy(), net);
  EXPECT_TRUE(layer_of(net.a->weight)->is_end());
  EXPECT_FALSE(layer_of(net.b->weight)->is_end());
  EXPECT_TRUE(layer_of(net.c->weight)->is_end());
  EXPECT_EQ(layer_of(net.b->weight.t()), layer_of(net.b->weight));
  for (const at::Tensor& other :
       {net.position, net.embedding->weight, net.norm->weight, net.a->bias}) {
    EXPECT_EQ(layer_of(other), nullptr);
  }
  torch::nn::Linear alone(3, 3);
  halftone::apply(Policy(), *alone);
  EXPECT_TRUE(layer_of(alone->weight)->is_end());
}

TEST(Emulation, BlocksLieAlongTheSum) {
  Policy policy = emulating("e2m1fn", "e4m3fn", "e5m2");
  policy.emulation.scaling = EmulationScaling::block;
  Three net;
  halftone::apply(policy, net);
  const at::Tensor x = input().requires_grad_();
  at::Tensor y;
  {
    const Autocast autocast(policy);
    y = net.first(x);
  }
  const at::Tensor gradient = torch::randn_like(y);
  y.backward(gradient);
  const auto blocks = [](const at::Tensor& t, const char* format) {
    return quantize_dequantize_blocks(t, {.format = format}, -1);
  };
  const at::Tensor w = blocks(net.first->weight, "e2m1fn"), q = blocks(x, "e4m3fn");
  const at::Tensor g = blocks(gradient, "e5m2");
  EXPECT_TRUE(y.equal(torch::nn::functional::linear(q, w, net.first->bias)));
  EXPECT_TRUE(x.grad().equal(g.mm(w)));

  torch::nn::Conv2d conv(torch::nn::Conv2dOptions(40, 8, 3));
  halftone::apply(policy, *conv);
  const at::Tensor image = torch::randn({2, 40, 6, 6});
  const at::Tensor expected =
      torch::conv2d(quantize_dequantize_blocks(image, {.format = "e4m3fn"}, 1),
                    quantize_dequantize_blocks(conv->weight, {.format = "e2m1fn"}, 1), conv->bias);
  const Autocast autocast(policy);
  EXPECT_TRUE(conv(image).equal(expected));
}

TEST(Emulation, DelayedScalesComeFromEarlierUses) {
  Policy policy = emulating("none", "e4m3fn", "none");
  policy.emulation.scaling = EmulationScaling::delayed;
  policy.emulation.history = 2;
  torch::nn::Linear layer(torch::nn::LinearOptions(4, 4).bias(false));
  {
    const at::NoGradGuard no_grad;
    layer->weight.copy_(torch::eye(4));
  }
  halftone::apply(policy, *layer);
  const auto pass = [&](float value) {
    const Autocast autocast(policy);
    return layer(torch::full({1, 4}, value)).max().item<float>();
  };
  EXPECT_EQ(pass(100), 96);           // its own: in steps of 0.25 400, between 384 and 416
  EXPECT_EQ(pass(1000), 112);         // of 100: saturates at 448 / 4
  EXPECT_EQ(pass(1), 1);              // of 100 and 1000
  EXPECT_EQ(pass(1e6f), 448 * 4);     // of 1000 and 1
  EXPECT_EQ(pass(1e6f), 240 * 4096);  // of 1 and 1e6: in steps of 2^12 244
  {
    const at::NoGradGuard no_grad;
    pass(3);  // evaluation is not remembered
  }
  EXPECT_EQ(layer_of(layer->weight)->history(Role::activation), (std::vector<double>{1e6, 1e6}));
}

TEST(Emulation, HistoriesGoIntoAStateAndBack) {
  Policy policy = emulating("e4m3fn", "e4m3fn", "e5m2");
  policy.emulation.scaling = EmulationScaling::delayed;
  Three net, other;
  halftone::apply(policy, net);
  halftone::apply(policy, other);
  forward_under(policy, net, input()).sum().backward();
  load_layer_histories(other, save_layer_histories(net));
  for (Role role : {Role::weight, Role::activation, Role::gradient}) {
    const auto history = layer_of(net.middle->weight)->history(role);
    EXPECT_EQ(history.size(), 1u);
    EXPECT_EQ(layer_of(other.middle->weight)->history(role), history);
  }
  StateDict state = save_layer_histories(net);
  EXPECT_EQ(state.erase("middle.weight"), 1u);
  EXPECT_ERROR(load_layer_histories(other, state), "emulation.middle.weight");
}

TEST(Emulation, WhatIsNotFiniteStays) {
  const Policy policy = emulating("e4m3fn", "e4m3fn", "e5m2");
  Three net;
  halftone::apply(policy, net);
  for (float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    at::Tensor x = input();
    x[3][5] = bad;
    const at::Tensor y = forward_under(policy, net, x);
    EXPECT_FALSE(y[3].isfinite().all().item<bool>());
    EXPECT_TRUE(y[2].isfinite().all().item<bool>());
  }
}

TEST(Emulation, RulesAndUnknownNetworksAreLeftAlone) {
  Three net;
  const at::Tensor x = input(), plain = net.forward(x);
  Policy policy = emulating("e2m1fn", "e2m1fn", "e2m1fn");
  EXPECT_TRUE(forward_under(policy, net, x).equal(plain)) << "apply() has not seen it";
  halftone::apply(policy, net);
  EXPECT_FALSE(forward_under(policy, net, x).equal(plain));
  EXPECT_TRUE(net.forward(x).equal(plain)) << "outside a region";
  policy.modules = {{"*", Format::fp32}};
  EXPECT_TRUE(forward_under(policy, net, x).equal(plain)) << "a rule on modules";
  policy.modules.clear();
  policy.operations = {{"linear", Format::fp32}, {"addmm", Format::fp32}, {"matmul", Format::fp32}};
  EXPECT_TRUE(forward_under(policy, net, x).equal(plain)) << "a rule on operations";
}

TEST(Emulation, GoesWithAHalfComputeFormat) {
  Policy policy = emulating("e4m3fn", "e4m3fn", "e5m2");
  policy.compute = policy.evaluation = Format::bf16;
  torch::nn::Linear layer(40, 50);
  halftone::apply(policy, *layer);
  const at::Tensor x = input();
  const Autocast autocast(policy);
  const at::Tensor y = layer(x);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  const AutocastDisabled off;
  const at::Tensor expected = torch::nn::functional::linear(
      fake(x.to(at::kBFloat16), "e4m3fn"), fake(layer->weight.to(at::kBFloat16), "e4m3fn"),
      layer->bias.to(at::kBFloat16));
  EXPECT_TRUE(y.equal(expected));
}

TEST(Emulation, ItIsTheCpusAlone) {
  EXPECT_ERROR(Autocast(Policy::preset("fp8-sim"), c10::kCUDA),
               "policy \"fp8-sim\": emulated formats on cuda; expected the CPU");
}

TEST(Emulation, EvaluationEmulatesWhereItComputesAsTrainingDoes) {
  Policy policy = Policy::preset("fp8-sim");
  EXPECT_EQ(policy.for_evaluation().emulation, policy.emulation);
  policy.evaluation = Format::fp64;
  EXPECT_FALSE(policy.for_evaluation().emulation.active());
  EXPECT_EQ(policy.for_evaluation().compute, Format::fp64);
}

TEST(Emulation, TheScaleIsTheSmallestPowerThatFits) {
  EXPECT_EQ(scale_for(kernels::kE4M3Fn, 448), 1);
  EXPECT_EQ(scale_for(kernels::kE4M3Fn, 449), 2);
  EXPECT_EQ(scale_for(kernels::kE4M3Fn, 224), 0.5f);
  EXPECT_EQ(scale_for(kernels::kE4M3Fn, 0), 1);
  EXPECT_EQ(scale_for(kernels::kE4M3Fn, 1e-45), 0x1p-126f);
  EXPECT_EQ(scale_for(kernels::kE2M1Fn, 3e38), 0x1p126f);
  EXPECT_EQ(scale_for(kernels::fixed_point(8), 12.7), static_cast<float>(0.1));
}

}  // namespace
}  // namespace halftone
