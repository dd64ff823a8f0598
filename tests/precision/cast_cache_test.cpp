// The casts that autocast keeps of the weights: made once, never stale, never without gradients.
#include <torch/torch.h>

#include <thread>

#include "halftone/precision/autocast.h"
#include "tests/precision/autocast_support.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

// torch::optim::SGD writes through `.data()`, which counts no version; Adam counts one.
template <class Optimizer>
void expect_cast_again_after(Optimizer& optimizer, at::Tensor weight) {
  const auto x = torch::randn({4, 8}, weight.device());
  const auto exact = [&] { return at::mm(x.to(at::kHalf), weight.detach().to(at::kHalf)); };
  const auto evaluate = [&] {
    const at::NoGradGuard no_grad;
    return at::mm(x, weight);
  };
  const Autocast autocast(half_policy(), weight.device().type());
  for (int step = 0; step < 3; ++step) {
    SCOPED_TRACE(step);
    EXPECT_TRUE(evaluate().equal(exact()));
    const auto y = at::mm(x, weight);
    EXPECT_TRUE(y.equal(exact()));
    y.square().sum().backward();
    EXPECT_TRUE(evaluate().equal(exact()));  // between backward and step
    optimizer.step();
    optimizer.zero_grad();
    EXPECT_FALSE(evaluate().equal(y)) << "the step changed nothing";
    EXPECT_TRUE(evaluate().equal(exact()));
  }
}

TEST(Autocast, AWeightChangedByAnOptimizerStepIsCastAgainInsideOneRegion) {
  for (auto device : test_devices()) {
    auto weight = weight_like({8, 8}, device);
    torch::optim::SGD sgd({weight}, torch::optim::SGDOptions(0.05));
    expect_cast_again_after(sgd, weight);
    torch::optim::Adam adam({weight}, torch::optim::AdamOptions(0.05));
    expect_cast_again_after(adam, weight);
  }
}

TEST(Autocast, AWeightChangedByAnOptimizerStepIsCastAgainInTheNextRegion) {
  for (auto device : test_devices()) {
    auto weight = weight_like({8, 8}, device);
    const auto x = torch::randn({4, 8}, device);
    const auto forward = [&] {
      const Autocast autocast(half_policy(), device.type());
      return at::mm(x, weight);
    };
    forward();
    weight.data().add_(1);  // no version bump: the new region must not need one
    EXPECT_TRUE(forward().equal(at::mm(x.to(at::kHalf), weight.detach().to(at::kHalf))));
  }
}

TEST(Autocast, AWeightWrittenThroughItsPointerIsCastAgainAfterAVersionBump) {
  auto weight = weight_like({8, 8}, at::kCPU);
  const auto x = torch::randn({4, 8});
  const Autocast autocast(half_policy());
  at::mm(x, weight);
  weight.data_ptr<float>()[0] += 100;
  torch::autograd::impl::bump_version(weight);
  EXPECT_TRUE(at::mm(x, weight).equal(at::mm(x.to(at::kHalf), weight.detach().to(at::kHalf))));
}

TEST(Autocast, ClearAutocastCacheReachesWritesWithoutAVersionBump) {
  auto weight = weight_like({8, 8}, at::kCPU);
  const auto x = torch::randn({4, 8});
  const Autocast autocast(half_policy());
  at::mm(x, weight);
  weight.data_ptr<float>()[0] += 100;
  clear_autocast_cache();
  EXPECT_TRUE(at::mm(x, weight).equal(at::mm(x.to(at::kHalf), weight.detach().to(at::kHalf))));
}

TEST(Autocast, ClearAutocastCacheFromAnotherThreadReachesThisOne) {
  auto weight = weight_like({8, 8}, at::kCPU);
  const auto x = torch::randn({4, 8});
  const Autocast autocast(half_policy());
  at::mm(x, weight);
  weight.data_ptr<float>()[0] += 100;
  std::thread(clear_autocast_cache).join();
  EXPECT_TRUE(at::mm(x, weight).equal(at::mm(x.to(at::kHalf), weight.detach().to(at::kHalf))));
}

// The cache is worth having: the cast is made once in a region.
TEST(Autocast, AWeightThatIsUsedTwiceIsCastOnce) {
  for (bool cache : {true, false}) {
    auto weight = weight_like({8, 8}, at::kCPU);
    const auto x = torch::randn({4, 8});
    const Autocast autocast(half_policy(), at::kCPU, cache);
    CastCounter counter;
    at::mm(x, weight);
    at::mm(x, weight);
    EXPECT_EQ(counter.casts(), cache ? 3 : 4) << "x twice, the weight once or twice";
  }
}

TEST(Autocast, ANoGradForwardBeforeAForwardWithGradientsLosesNoGradients) {
  for (auto device : test_devices()) {
    auto weight = weight_like({8, 8}, device);
    const auto x = torch::randn({4, 8}, device);
    const Autocast autocast(half_policy(), device.type());
    {
      const at::NoGradGuard no_grad;
      EXPECT_FALSE(at::mm(x, weight).requires_grad());
    }
    {
      const c10::InferenceMode inference;
      EXPECT_TRUE(at::mm(x, weight).is_inference());
    }
    const auto y = at::mm(x, weight);
    ASSERT_TRUE(y.requires_grad());
    y.sum().backward();
    ASSERT_TRUE(weight.grad().defined());
    EXPECT_EQ(weight.grad().scalar_type(), at::kFloat);
    EXPECT_GT(weight.grad().abs().sum().item<double>(), 0);
  }
}

TEST(Autocast, TwoBackwardPassesThroughOneCastGiveTheGradientsOfBoth) {
  auto weight = weight_like({8, 8}, at::kCPU);
  const auto x = torch::randn({4, 8});
  const Autocast autocast(half_policy());
  at::mm(x, weight).sum().backward();
  const auto once = weight.grad().clone();
  at::mm(x, weight).sum().backward();
  EXPECT_TRUE(weight.grad().equal(once * 2));
}

TEST(Autocast, TheFormatMayChangeInsideARegion) {
  for (auto device : test_devices()) {
    auto weight = weight_like({8, 8}, device);
    const auto x = torch::randn({4, 8}, device);
    const Autocast outer(half_policy(Format::fp16), device.type());
    EXPECT_EQ(at::mm(x, weight).scalar_type(), at::kHalf);
    {
      const Autocast inner(half_policy(Format::bf16), device.type());
      EXPECT_EQ(at::mm(x, weight).scalar_type(), at::kBFloat16);
    }
    EXPECT_EQ(at::mm(x, weight).scalar_type(), at::kHalf);
    at::autocast::set_autocast_dtype(device.type(), at::kBFloat16);  // a raw call inside
    EXPECT_EQ(at::mm(x, weight).scalar_type(), at::kBFloat16);
  }
}

}  // namespace
}  // namespace halftone
