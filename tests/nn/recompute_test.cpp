#include "halftone/nn/recompute.h"

#include <torch/torch.h>

#include <functional>
#include <string>
#include <vector>

#include "halftone/precision/autocast.h"
#include "tests/support/test.h"

namespace halftone::nn {
namespace {

// Convolution, normalisation, dropout, linear layer: everything that recomputation can get wrong.
struct NetImpl : torch::nn::Module {
  NetImpl() {
    conv = register_module("conv", torch::nn::Conv2d(3, 8, 3));
    bn = register_module("bn", torch::nn::BatchNorm2d(8));
    fc = register_module("fc", torch::nn::Linear(8 * 6 * 6, 5));
  }
  at::Tensor body(const at::Tensor& x) {
    ++calls;
    const auto h = torch::dropout(torch::relu(bn(conv(x))), 0.5, is_training());
    return at::linear(h.flatten(1), fc->weight, fc->bias);
  }
  torch::nn::Conv2d conv{nullptr};
  torch::nn::BatchNorm2d bn{nullptr};
  torch::nn::Linear fc{nullptr};
  int calls = 0;
};
TORCH_MODULE(Net);

struct Result {
  std::vector<at::Tensor> tensors;  // output, input's gradient, parameters' gradients, buffers
  at::Tensor next_random;
};

enum class Way { plain, recomputed };

Result train_step(Way way, const Policy& policy) {
  torch::manual_seed(11);
  Net net;
  auto x = torch::rand({4, 3, 8, 8}).requires_grad_();
  auto fn = [net](const at::Tensor& input) mutable { return net->body(input); };
  at::Tensor output;
  {
    const Autocast autocast(policy);
    output = way == Way::plain ? fn(x) : recompute(fn, x, *net);
    torch::rand({3});  // moves the generator on before backward
  }
  output.to(torch::kFloat).square().sum().backward();
  EXPECT_EQ(net->calls, way == Way::plain ? 1 : 2);
  Result result{{output, x.grad()}, torch::rand({3})};
  for (const auto& parameter : net->parameters()) result.tensors.push_back(parameter.grad());
  for (const auto& buffer : net->buffers()) result.tensors.push_back(buffer);
  return result;
}

void expect_same(const std::string& preset) {
  const auto policy = Policy::preset(preset);
  const auto plain = train_step(Way::plain, policy);
  const auto again = train_step(Way::recomputed, policy);
  ASSERT_EQ(plain.tensors.size(), again.tensors.size());
  for (std::size_t i = 0; i < plain.tensors.size(); ++i) {
    ASSERT_TRUE(again.tensors[i].defined()) << preset << ", tensor " << i;
    EXPECT_EQ(again.tensors[i].scalar_type(), plain.tensors[i].scalar_type());
    EXPECT_TRUE(again.tensors[i].equal(plain.tensors[i])) << preset << ", tensor " << i;
  }
  EXPECT_TRUE(again.next_random.equal(plain.next_random)) << "backward moved the generator";
}

TEST(Recompute, GivesTheSameGradientsBitForBitInFp32) { expect_same("fp32"); }

TEST(Recompute, GivesTheSameGradientsBitForBitUnderAutocast) {
  expect_same("bf16");
  expect_same("fp16");
}

// Three products read an fp32 input, which each casts for itself.
TEST(Recompute, GradientsOfAnInputThatIsCastSeveralTimesAreAddedUpAsWithout) {
  torch::manual_seed(2);
  const std::vector<at::Tensor> weights{torch::rand({16, 16}, torch::requires_grad()),
                                        torch::rand({16, 16}, torch::requires_grad()),
                                        torch::rand({16, 16}, torch::requires_grad())};
  const auto fn = [&](const at::Tensor& x) {
    return x.mm(weights[0]) + x.mm(weights[1]) * x.mm(weights[2]) + x;
  };
  const auto gradient = [&](bool recomputes) {
    auto leaf = torch::arange(1, 129, torch::kFloat).reshape({8, 16}).div(37).requires_grad_();
    const Autocast autocast(Policy::preset("bf16"));
    const at::Tensor x = leaf * 1;
    return torch::autograd::grad({(recomputes ? recompute(fn, x, weights) : fn(x)).sum()},
                                 {leaf})[0];
  };
  EXPECT_TRUE(gradient(true).equal(gradient(false)));
}

TEST(Recompute, RunsUnderTheAutocastOfTheFirstTime) {
  std::vector<at::ScalarType> formats;
  auto weight = torch::rand({4, 4}, torch::requires_grad());
  const auto fn = [&](const at::Tensor& x) {
    auto y = torch::mm(x, weight);
    formats.push_back(y.scalar_type());
    return y;
  };
  const auto input = torch::rand({4, 4});
  {
    at::Tensor output;
    {
      const Autocast autocast(Policy::preset("bf16"));
      output = recompute(fn, input, std::vector<at::Tensor>{weight});
    }
    output.to(torch::kFloat).sum().backward();  // outside the region
  }
  const auto outside = recompute(fn, input, std::vector<at::Tensor>{weight});
  {
    const Autocast autocast(Policy::preset("bf16"));
    outside.sum().backward();  // inside another region
  }
  EXPECT_EQ(formats,
            (std::vector<at::ScalarType>{at::kBFloat16, at::kBFloat16, at::kFloat, at::kFloat}));
}

TEST(Recompute, KeepsLessThanThePlainPass) {
  auto x = torch::rand({2, 4}, torch::requires_grad());
  int saved = 0;
  const auto fn = [&](const at::Tensor& input) {
    const auto y = input.exp();  // saves its result
    saved += static_cast<int>(y.requires_grad());
    return y.sin();
  };
  auto output = recompute(fn, x, std::vector<at::Tensor>{});
  EXPECT_EQ(saved, 0);
  output.sum().backward();
  EXPECT_EQ(saved, 1);
  EXPECT_TRUE(x.grad().allclose(x.detach().exp() * x.detach().exp().cos()));
}

TEST(Recompute, AnInputWithoutGradientStillTrainsTheParameters) {
  auto used = torch::rand({3, 3}, torch::requires_grad());
  auto unused = torch::rand({3, 3}, torch::requires_grad());
  const auto x = torch::rand({2, 3});
  recompute([&](const at::Tensor& input) { return input.mm(used); }, x,
            std::vector<at::Tensor>{used, unused})
      .sum()
      .backward();
  EXPECT_TRUE(used.grad().allclose(x.t().mm(torch::ones({2, 3}))));
  EXPECT_FALSE(unused.grad().defined());
}

TEST(Recompute, OtherTensorsGetTheirGradientsThroughTheirOwnGraphs) {
  auto x = torch::rand({2, 3}, torch::requires_grad());
  auto leaf = torch::rand({3, 3}, torch::requires_grad());
  const auto linear = std::make_shared<torch::nn::LinearImpl>(3, 3);
  const auto gradients = [&](bool recomputes) {
    const at::Tensor other = leaf.sin();  // not a leaf
    const auto fn = [&](const at::Tensor& input) { return linear->forward(input.mm(other)).exp(); };
    const at::Tensor y = recomputes ? recompute(fn, x, {linear}, {other}) : fn(x);
    return torch::autograd::grad({(y * other.sum()).sum()}, {x, leaf, linear->weight});
  };
  const auto expected = gradients(false), given = gradients(true);
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(given[i].equal(expected[i])) << i;
}

TEST(Recompute, WithoutGradientsItIsThePlainCall) {
  int calls = 0;
  const auto fn = [&](const at::Tensor& input) {
    ++calls;
    return input * 2;
  };
  const torch::NoGradGuard no_grad;
  EXPECT_FALSE(recompute(fn, torch::ones({2}, torch::requires_grad()), std::vector<at::Tensor>{})
                   .requires_grad());
  EXPECT_EQ(calls, 1);
}

TEST(Recompute, NestsAndAcceptsSeveralInOneGraph) {
  auto x = torch::rand({4}, torch::requires_grad());
  const auto inner = [](const at::Tensor& t) { return t.sin(); };
  const auto outer = [&](const at::Tensor& t) {
    return recompute(inner, t * 2, std::vector<at::Tensor>{}).exp();
  };
  const auto none = std::vector<at::Tensor>{};
  const auto y = recompute(outer, recompute(outer, x, none), none);
  const auto plain = torch::autograd::grad({(((x * 2).sin().exp() * 2).sin().exp()).sum()}, {x})[0];
  y.sum().backward();
  EXPECT_TRUE(x.grad().equal(plain));
}

TEST(Recompute, ASecondDerivativeIsAnError) {
  auto x = torch::rand({4}, torch::requires_grad());
  const auto y =
      recompute([](const at::Tensor& t) { return t.exp(); }, x, std::vector<at::Tensor>{});
  EXPECT_ERROR(torch::autograd::grad({y.sum()}, {x}, {}, true, /*create_graph=*/true),
               "create_graph through recompute()");
}

TEST(Recompute, AnInputWrittenToBeforeBackwardIsAnError) {
  auto x = torch::rand({4}, torch::requires_grad());
  auto y = x * 1;
  const auto z =
      recompute([](const at::Tensor& t) { return t.exp(); }, y, std::vector<at::Tensor>{});
  y.detach().add_(1);
  EXPECT_ERROR(z.sum().backward(), "modified by an inplace operation");
}

}  // namespace
}  // namespace halftone::nn
