// A policy's exceptions, by operation and by the name of a parameter or module.
#include <torch/torch.h>

#include "halftone/precision/autocast.h"
#include "halftone/precision/parameter_names.h"
#include "tests/precision/autocast_support.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

// Two Linear layers, a convolution and a BatchNorm; notes the format after each.
struct NetImpl : torch::nn::Module {
  NetImpl() {
    conv = register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 2, 3)));
    bn = register_module("bn", torch::nn::BatchNorm2d(2));
    body = register_module("body", torch::nn::Linear(2 * 4 * 4, 8));
    head = register_module("head", torch::nn::Linear(8, 3));
  }
  at::Tensor forward(at::Tensor x) {
    formats.clear();
    const auto note = [&](at::Tensor y) {
      formats.push_back(y.scalar_type());
      return y;
    };
    x = note(bn(note(conv(x)))).relu();
    return note(head(note(body(x.flatten(1)))));
  }
  torch::nn::Conv2d conv{nullptr};
  torch::nn::BatchNorm2d bn{nullptr};
  torch::nn::Linear body{nullptr}, head{nullptr};
  std::vector<c10::ScalarType> formats;  // conv, bn, body, head
};
TORCH_MODULE(Net);

using Formats = std::vector<c10::ScalarType>;

Formats formats_under(const Policy& policy, c10::Device device) {
  Net net;
  net->to(device);
  register_parameter_names(*net);
  const auto x = torch::randn({5, 1, 6, 6}, device);
  at::Tensor y;
  {
    const Autocast autocast(policy, device.type());
    y = net->forward(x);
  }
  y.to(at::kFloat).square().sum().backward();
  for (const auto& parameter : net->parameters()) {
    EXPECT_TRUE(parameter.grad().defined());
    EXPECT_EQ(parameter.grad().scalar_type(), at::kFloat);
  }
  return net->formats;
}

TEST(AutocastPolicy, WithoutExceptionsFollowsTheTable) {
  for (auto device : test_devices()) {
    EXPECT_EQ(formats_under(half_policy(), device),
              (Formats{at::kHalf, at::kHalf, at::kHalf, at::kHalf}));
  }
}

TEST(AutocastPolicy, AModuleComputesInTheFormatOfItsRule) {
  for (auto device : test_devices()) {
    Policy policy = half_policy();
    policy.modules = {{"head", Format::fp32}};
    EXPECT_EQ(formats_under(policy, device),
              (Formats{at::kHalf, at::kHalf, at::kHalf, at::kFloat}));
    policy.modules = {{"b*", Format::bf16}};
    EXPECT_EQ(formats_under(policy, device),
              (Formats{at::kHalf, at::kBFloat16, at::kBFloat16, at::kHalf}));
  }
}

TEST(AutocastPolicy, ARuleMayNameAParameter) {
  Policy policy = half_policy();
  policy.modules = {{"*.weight", Format::bf16}, {"body.bias", Format::fp32}};
  EXPECT_EQ(formats_under(policy, at::kCPU),
            (Formats{at::kBFloat16, at::kBFloat16, at::kFloat, at::kBFloat16}));
}

TEST(AutocastPolicy, TheLastMatchingRuleWins) {
  Policy policy = half_policy();
  policy.modules = {{"*", Format::bf16}, {"head", Format::fp32}, {"body", Format::fp16}};
  EXPECT_EQ(formats_under(policy, at::kCPU),
            (Formats{at::kBFloat16, at::kBFloat16, at::kHalf, at::kFloat}));
  policy.modules = {{"head", Format::fp32}, {"*", Format::bf16}};
  EXPECT_EQ(formats_under(policy, at::kCPU),
            (Formats{at::kBFloat16, at::kBFloat16, at::kBFloat16, at::kBFloat16}));
}

TEST(AutocastPolicy, AnOperationComputesInTheFormatOfItsRule) {
  Policy policy = half_policy();
  policy.operations = {{"conv*", Format::fp32}, {"softmax", Format::bf16}, {"gelu", Format::fp32}};
  const auto half = torch::randn({2, 3}, at::kHalf);
  const Autocast autocast(policy);
  EXPECT_EQ(at::conv1d(torch::randn({1, 1, 5}, at::kHalf), torch::randn({1, 1, 3})).scalar_type(),
            at::kFloat);
  EXPECT_EQ(at::softmax(half, 1).scalar_type(), at::kBFloat16);
  EXPECT_EQ(at::gelu(half).scalar_type(), at::kFloat) << "the table leaves it as it is";
  EXPECT_EQ(at::relu(half).scalar_type(), at::kHalf);
}

TEST(AutocastPolicy, AModuleRuleWinsOverAnOperationRule) {
  Policy policy = half_policy();
  policy.operations = {{"addmm", Format::bf16}};
  policy.modules = {{"head", Format::fp32}};
  EXPECT_EQ(formats_under(policy, at::kCPU),
            (Formats{at::kHalf, at::kHalf, at::kBFloat16, at::kFloat}));
}

TEST(AutocastPolicy, AnExceptionEndsWithItsRegion) {
  Policy policy = half_policy();
  policy.operations = {{"gelu", Format::fp32}};
  { const Autocast autocast(policy); }
  const Autocast autocast(half_policy());
  EXPECT_EQ(at::gelu(torch::randn({3}, at::kHalf)).scalar_type(), at::kHalf);
}

// A cast copy of the statistics would swallow their update.
TEST(AutocastPolicy, AnExceptionOnBatchNormStillUpdatesItsRunningStatistics) {
  for (Format format : {Format::fp32, Format::bf16, Format::fp16}) {
    torch::nn::BatchNorm1d bn(3), exact(3);
    Policy policy = half_policy();
    policy.operations = {{"batch_norm", format}};
    const auto x = torch::randn({16, 3}) + 5;
    exact->forward(x);
    const Autocast autocast(policy);
    EXPECT_EQ(bn->forward(x.to(at::kHalf)).scalar_type(), scalar_type(format));
    EXPECT_EQ(bn->running_mean.scalar_type(), at::kFloat);
    EXPECT_TRUE(bn->running_mean.allclose(exact->running_mean, tolerance::kBf16));
    EXPECT_EQ(bn->num_batches_tracked.item<int64_t>(), 1);
  }
}

TEST(AutocastPolicy, ARuleOnAModuleCoversTheModulesInIt) {
  torch::nn::Sequential inner(torch::nn::Linear(4, 4)), outer(inner);
  register_parameter_names(*outer, "net");
  Policy policy = half_policy();
  policy.modules = {{"net.0", Format::fp32}};
  const Autocast autocast(policy);
  const auto& linear = *inner[0]->as<torch::nn::Linear>();
  EXPECT_EQ(at::linear(torch::randn({2, 4}), linear.weight, linear.bias).scalar_type(), at::kFloat);
}

}  // namespace
}  // namespace halftone
