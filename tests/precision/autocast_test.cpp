// Every trap that LibTorch's raw autocast calls leave open in C++, by name, on CPU and on CUDA.
#include "halftone/precision/autocast.h"

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <torch/torch.h>

#include <future>
#include <thread>

#include "halftone/ops/enable.h"
#include "tests/precision/autocast_support.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

TEST(Autocast, CastsMatmulsToThePolicysFormat) {
  for (auto device : test_devices()) {
    for (Format format : {Format::fp16, Format::bf16}) {
      const auto a = torch::randn({4, 8}, device), b = torch::randn({8, 3}, device);
      const Autocast autocast(half_policy(format), device.type());
      const auto c = at::mm(a, b);
      EXPECT_EQ(c.scalar_type(), scalar_type(format));
      EXPECT_TRUE(c.equal(at::mm(a.to(c.scalar_type()), b.to(c.scalar_type()))));
    }
  }
}

// The loss of half logits is taken in fp32 without an fp32 copy of them, unless a rule asks for
// one.
TEST(Autocast, CrossEntropyReadsHalfLogitsAndGivesFp32) {
  const bool was_enabled = enabled();
  const auto target = torch::randint(0, 50, {8}, at::kLong);
  const auto logits = torch::randn({8, 50}).to(at::kHalf);
  const auto run = [&](const Policy& policy) {
    const auto x = logits.detach().requires_grad_();
    const Autocast autocast(policy);
    const CastCounter counter;
    const auto loss = at::cross_entropy_loss(x, target);
    const int casts = counter.casts();
    loss.backward();
    return std::make_tuple(loss.detach(), x.grad(), casts);
  };
  disable();
  const auto [expected, expected_gradient, stock_casts] = run(half_policy());
  enable();
  const auto [loss, gradient, casts] = run(half_policy());
  Policy exception = half_policy();
  exception.operations = {{"cross_entropy_loss", Format::fp32}};
  const auto excepted_casts = std::get<2>(run(exception));
  if (!was_enabled) disable();
  EXPECT_EQ(loss.scalar_type(), at::kFloat);
  EXPECT_TRUE(at::allclose(loss, expected, tolerance::kFp32, 0));
  EXPECT_TRUE(at::allclose(gradient.to(at::kFloat), expected_gradient.to(at::kFloat),
                           2 * tolerance::kFp16Unit, 0x1p-24));
  EXPECT_EQ(casts, 0);
  EXPECT_EQ(stock_casts, 1);
  EXPECT_EQ(excepted_casts, 1);
}

TEST(Autocast, ANewThreadStartsOffAndRestoreCarriesTheStateOver) {
  for (auto device : test_devices()) {
    const auto x = torch::randn({4, 4}, device);
    c10::ScalarType without{}, with{}, after{}, softmax{};
    {
      const Autocast autocast(half_policy(), device.type());
      const AutocastState state = AutocastState::capture();
      std::thread([&, state] {
        without = at::mm(x, x).scalar_type();
        {
          const AutocastRestore restore(state);
          with = at::mm(x, x).scalar_type();
          softmax = at::softmax(at::mm(x, x), 1).scalar_type();
        }
        after = at::mm(x, x).scalar_type();
      }).join();
    }
    EXPECT_EQ(without, at::kFloat);
    EXPECT_EQ(with, at::kHalf);
    EXPECT_EQ(softmax, at::kFloat);
    EXPECT_EQ(after, at::kFloat);
  }
}

TEST(Autocast, RestoreOutlivesTheRegionThatWasCaptured) {
  AutocastState state;
  {
    const Autocast autocast(half_policy());
    state = AutocastState::capture();
  }
  const auto x = torch::randn({4, 4});
  EXPECT_EQ(at::mm(x, x).scalar_type(), at::kFloat);
  const AutocastRestore restore(state);
  EXPECT_EQ(at::mm(x, x).scalar_type(), at::kHalf);
}

TEST(Autocast, RestoreOfAStateThatWasOffSwitchesOff) {
  const AutocastState off = AutocastState::capture();
  const auto x = torch::randn({4, 4});
  const Autocast autocast(half_policy());
  {
    const AutocastRestore restore(off);
    EXPECT_EQ(at::mm(x, x).scalar_type(), at::kFloat);
  }
  EXPECT_EQ(at::mm(x, x).scalar_type(), at::kHalf);
}

TEST(Autocast, AtLaunchCarriesTheStateAndThePolicysTable) {
  const auto x = torch::randn({4, 4});
  c10::ScalarType product{}, softmax{};
  std::promise<void> done;
  {
    const Autocast autocast(half_policy());
    at::launch([&] {
      product = at::mm(x, x).scalar_type();
      softmax = at::softmax(at::mm(x, x), 1).scalar_type();  // LibTorch's table leaves it half
      done.set_value();
    });
    done.get_future().wait();
  }
  EXPECT_EQ(product, at::kHalf);
  EXPECT_EQ(softmax, at::kFloat);
}

TEST(Autocast, NormalisationLayersWithFp32ParametersTakeHalfInput) {
  for (auto device : test_devices()) {
    for (Format format : {Format::fp16, Format::bf16}) {
      const std::vector<torch::nn::AnyModule> layers = {
          torch::nn::AnyModule(torch::nn::BatchNorm2d(4)),
          torch::nn::AnyModule(torch::nn::GroupNorm(2, 4)),
          torch::nn::AnyModule(torch::nn::LayerNorm(std::vector<int64_t>{4, 5, 5})),
          torch::nn::AnyModule(torch::nn::InstanceNorm2d(
              torch::nn::InstanceNorm2dOptions(4).affine(true).track_running_stats(true)))};
      for (auto layer : layers) {
        SCOPED_TRACE(layer.ptr()->name());
        layer.ptr()->to(device);
        const auto x = torch::randn({3, 4, 5, 5}, device);
        const auto exact = layer.forward<at::Tensor>(x);
        at::Tensor y;
        {
          const Autocast autocast(half_policy(format), device.type());
          y = layer.forward<at::Tensor>(x.to(scalar_type(format)));
        }
        EXPECT_TRUE(y.to(at::kFloat).allclose(exact, 5e-2, 5e-2));
        y.to(at::kFloat).square().sum().backward();
        for (const auto& parameter : layer.ptr()->parameters()) {
          ASSERT_TRUE(parameter.grad().defined());
          EXPECT_EQ(parameter.grad().scalar_type(), at::kFloat);
        }
      }
    }
  }
}

TEST(Autocast, CpuAndCudaKeepTheSameOperationsInFp32) {
  for (auto device : test_devices()) {
    for (Format format : {Format::fp16, Format::bf16}) {
      const Autocast autocast(half_policy(format), device.type());
      const auto x = torch::rand({4, 6}, device).to(scalar_type(format)) + 0.5;
      ASSERT_EQ(x.scalar_type(), scalar_type(format));
      for (const auto& [name, result] : fp32_operations(x)) {
        EXPECT_EQ(result.scalar_type(), at::kFloat) << name << " on " << device;
      }
    }
  }
}

// What fp32 buys: in fp16 these overflow.
TEST(Autocast, SumsAndPowersOfHalfDoNotOverflow) {
  const auto x = torch::full({70000}, 2.0, at::kHalf);
  const Autocast autocast(half_policy());
  EXPECT_EQ(x.sum().item<float>(), 140000);
  EXPECT_EQ(torch::full({1}, 300.0, at::kHalf).pow(2).item<float>(), 90000);
  EXPECT_NEAR(torch::full({1}, 12.0, at::kHalf).exp().item<float>(), 162754.8f, 1);
}

TEST(Autocast, ADtypeThatTheCallerGaveIsKept) {
  const auto x = torch::randn({4, 4}, at::kHalf);
  const Autocast autocast(half_policy());
  EXPECT_EQ(at::softmax(x, 1, at::kHalf).scalar_type(), at::kHalf);
  EXPECT_EQ(at::sum(x, at::kDouble).scalar_type(), at::kDouble);
  EXPECT_EQ(at::sum(torch::ones({4}, at::kInt)).scalar_type(), at::kLong);
}

TEST(Autocast, BinaryCrossEntropyRunsInFp32) {
  for (auto device : test_devices()) {
    const auto x = torch::rand({8}, device).to(at::kHalf), target = torch::rand({8}, device);
    const Autocast autocast(half_policy(), device.type());
    EXPECT_TRUE(at::binary_cross_entropy(x, target).equal(
        at::binary_cross_entropy(x.to(at::kFloat), target)));
  }
}

TEST(Autocast, MixedArgumentsTakeTheWidestFormat) {
  const auto half = torch::randn({3}, at::kHalf), full = torch::randn({3});
  const auto bf16 = torch::randn({3}, at::kBFloat16);
  const Autocast autocast(half_policy());
  EXPECT_EQ(at::cat({half, full}).scalar_type(), at::kFloat);
  EXPECT_EQ(at::cat({half, half}).scalar_type(), at::kHalf);
  EXPECT_EQ(at::stack({half, bf16}).scalar_type(), at::kFloat);
  EXPECT_EQ(at::addcmul(full, half, half).scalar_type(), at::kFloat);
}

TEST(Autocast, Fp64IsLeftAlone) {
  const auto x = torch::randn({4, 4}, at::kDouble);
  const Autocast autocast(half_policy());
  EXPECT_EQ(at::mm(x, x).scalar_type(), at::kDouble);
  EXPECT_EQ(x.exp().scalar_type(), at::kDouble);
  EXPECT_EQ(x.sum().scalar_type(), at::kDouble);
}

TEST(Autocast, AnExceptionRestoresTheState) {
  const ThreadState before;
  const auto x = torch::randn({4, 4});
  try {
    const Autocast outer(half_policy());
    const AutocastDisabled island;
    const Autocast inner(half_policy(Format::bf16), at::kCPU, false);
    at::mm(x, torch::randn({5, 5}));
    FAIL() << "the shapes do not fit";
  } catch (const c10::Error&) {
  }
  EXPECT_TRUE(ThreadState() == before);
  EXPECT_EQ(at::mm(x, x).scalar_type(), at::kFloat);
}

TEST(Autocast, ARefusedPolicyChangesNothing) {
  const ThreadState before;
  Policy policy = half_policy();
  policy.operations = {{"cnov2d", Format::fp32}};
  EXPECT_ERROR(Autocast{policy}, "cnov2d");
  EXPECT_ERROR(Autocast{policy}, "conv2d\"");
  EXPECT_ERROR(Autocast(half_policy(), at::kMPS), "mps");
  EXPECT_TRUE(ThreadState() == before);
}

TEST(Autocast, GuardsNestAndDisabledIslandsAreOff) {
  for (auto device : test_devices()) {
    const ThreadState before;
    const auto x = torch::randn({4, 4}, device);
    {
      const Autocast outer(half_policy(), device.type());
      EXPECT_EQ(at::mm(x, x).scalar_type(), at::kHalf);
      {
        const AutocastDisabled island(device.type());
        EXPECT_EQ(at::mm(x, x).scalar_type(), at::kFloat);
        EXPECT_EQ(at::softmax(x.to(at::kHalf), 1).scalar_type(), at::kHalf);
        {
          const Autocast inner(half_policy(Format::bf16), device.type());
          EXPECT_EQ(at::mm(x, x).scalar_type(), at::kBFloat16);
        }
        EXPECT_EQ(at::mm(x, x).scalar_type(), at::kFloat);
      }
      EXPECT_EQ(at::mm(x, x).scalar_type(), at::kHalf);
    }
    EXPECT_TRUE(ThreadState() == before);
  }
}

TEST(Autocast, APolicyThatComputesInFp32SwitchesAutocastOff) {
  const auto x = torch::randn({4, 4});
  const Autocast outer(half_policy());
  const Autocast fp32(Policy{});
  EXPECT_FALSE(at::autocast::is_autocast_enabled(at::kCPU));
  EXPECT_EQ(at::mm(x, x).scalar_type(), at::kFloat);
}

TEST(Autocast, ADeviceThatTheGuardDoesNotNameIsLeftAsItWas) {
  const auto x = torch::randn({4, 4});
  const Autocast cuda(half_policy(), at::kCUDA);
  EXPECT_EQ(at::mm(x, x).scalar_type(), at::kFloat);
  const Autocast cpu(half_policy(Format::bf16), at::kCPU);
  EXPECT_EQ(at::mm(x, x).scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::autocast::is_autocast_enabled(at::kCUDA));
}

// A checkpoint: keeps the input alone and computes again in backward.
struct Recompute final : torch::autograd::Function<Recompute> {
  struct State final : torch::CustomClassHolder {
    AutocastState autocast;
    std::vector<c10::ScalarType>* formats = nullptr;
  };

  static at::Tensor block(const at::Tensor& x, const at::Tensor& weight,
                          std::vector<c10::ScalarType>& formats) {
    const auto y = at::mm(x, weight);
    const auto probabilities = at::softmax(y, 1);
    formats.push_back(y.scalar_type());
    formats.push_back(probabilities.scalar_type());
    return at::mm(probabilities, weight);
  }

  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            std::vector<c10::ScalarType>* formats) {
    auto state = c10::make_intrusive<State>();
    state->autocast = AutocastState::capture();
    state->formats = formats;
    context->saved_data["state"] = c10::IValue::make_capsule(state);
    context->save_for_backward({x, weight});
    return block(x, weight, *formats);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto state =
        c10::static_intrusive_pointer_cast<State>(context->saved_data["state"].toCapsule());
    const AutocastRestore restore(state->autocast);
    const at::AutoGradMode grad(true);
    const auto x = saved[0].detach().requires_grad_();
    const auto weight = saved[1].detach().requires_grad_();
    const auto y = block(x, weight, *state->formats);
    const auto result = torch::autograd::grad({y}, {x, weight}, {gradients[0]});
    return {result[0], result[1], at::Tensor()};
  }
};

TEST(Autocast, RecomputationInBackwardRunsUnderTheStateOfTheForward) {
  for (auto device : test_devices()) {
    auto x = weight_like({8, 8}, device), weight = weight_like({8, 8}, device);
    std::vector<c10::ScalarType> formats, ignored;
    at::Tensor checkpointed, plain;
    {
      const Autocast autocast(half_policy(), device.type());
      checkpointed = Recompute::apply(x, weight, &formats);
      plain = Recompute::block(x, weight, ignored);
    }
    EXPECT_TRUE(checkpointed.equal(plain));
    const auto direction = torch::randn_like(plain);
    const auto expected = torch::autograd::grad({plain}, {x, weight}, {direction});
    const auto got = torch::autograd::grad({checkpointed}, {x, weight}, {direction});
    EXPECT_TRUE(got[0].equal(expected[0]));
    EXPECT_TRUE(got[1].equal(expected[1]));
    ASSERT_EQ(formats.size(), 4U) << "the block ran twice";
    EXPECT_EQ(formats[2], at::kHalf);
    EXPECT_EQ(formats[3], at::kFloat);
  }
}

TEST(Autocast, RecurrentLayersWithFp32WeightsTrainInHalf) {
  for (auto device : test_devices()) {
    for (Format format : {Format::fp16, Format::bf16}) {
      torch::manual_seed(1);
      torch::nn::LSTM lstm(torch::nn::LSTMOptions(6, 5).num_layers(2).bidirectional(true));
      torch::nn::GRU gru(torch::nn::GRUOptions(6, 5));
      torch::nn::RNN rnn(torch::nn::RNNOptions(6, 5));
      lstm->to(device), gru->to(device), rnn->to(device);
      const auto x = torch::randn({7, 3, 6}, device);
      const auto exact = std::get<0>(lstm->forward(x));
      const Autocast autocast(half_policy(format), device.type());
      const auto y = std::get<0>(lstm->forward(x));
      EXPECT_EQ(y.scalar_type(), scalar_type(format));
      EXPECT_TRUE(y.to(at::kFloat).allclose(exact, 5e-2, 5e-2));
      (y.sum() + std::get<0>(gru->forward(x)).sum() + std::get<0>(rnn->forward(x)).sum())
          .backward();
      for (const auto& module :
           std::vector<std::shared_ptr<torch::nn::Module>>{lstm.ptr(), gru.ptr(), rnn.ptr()}) {
        for (const auto& parameter : module->parameters()) {
          ASSERT_TRUE(parameter.grad().defined());
          EXPECT_EQ(parameter.grad().scalar_type(), at::kFloat);
          EXPECT_TRUE(parameter.grad().isfinite().all().item<bool>());
        }
      }
    }
  }
}

}  // namespace
}  // namespace halftone
