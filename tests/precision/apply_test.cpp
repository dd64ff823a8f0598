#include "halftone/precision/apply.h"

#include <torch/torch.h>

#include <thread>

#include "halftone/precision/parameter_names.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

// A network that knows nothing of Halftone: a residual block, every normalisation, a user's own.
struct RMSNormImpl : torch::nn::Module {
  RMSNormImpl() { weight = register_parameter("weight", torch::ones({8})); }
  at::Tensor forward(const at::Tensor& x) { return x * weight; }
  at::Tensor weight;
};

struct BlockImpl : torch::nn::Module {
  BlockImpl() {
    using namespace torch::nn;
    conv1 = register_module("conv1", Conv2d(Conv2dOptions(3, 8, 3).padding(1).bias(false)));
    bn1 = register_module("bn1", BatchNorm2d(8));
    norms = register_module(
        "norms", Sequential(GroupNorm(2, 8), InstanceNorm2d(InstanceNorm2dOptions(8).affine(true)),
                            LayerNorm(LayerNormOptions({8})), std::make_shared<RMSNormImpl>()));
    fc = register_module("fc", Linear(8, 4));
    table = register_buffer("table", torch::ones({4}, torch::kFloat64));
  }
  at::Tensor forward(const at::Tensor& x) {
    const auto y = torch::relu(bn1(conv1(x)));
    return fc(y.mean({2, 3}).to(fc->weight.scalar_type()));
  }
  torch::nn::Conv2d conv1{nullptr};
  torch::nn::BatchNorm2d bn1{nullptr};
  torch::nn::Sequential norms{nullptr};
  torch::nn::Linear fc{nullptr};
  at::Tensor table;
};

Policy bf16_master_policy() { return Policy::preset("bf16-master"); }

TEST(Apply, HalfStorageCastsWeightsAndLeavesNormalisationInFp32) {
  BlockImpl net;  // held by no shared_ptr
  halftone::apply(bf16_master_policy(), net);
  EXPECT_EQ(net.conv1->weight.scalar_type(), torch::kBFloat16);
  EXPECT_EQ(net.fc->bias.scalar_type(), torch::kBFloat16);
  for (const auto& item : net.named_parameters()) {
    if (item.key().find("norms") == 0 || item.key().find("bn1") == 0) {
      EXPECT_EQ(item.value().scalar_type(), torch::kFloat32) << item.key();
    }
  }
  EXPECT_EQ(net.bn1->running_mean.scalar_type(), torch::kFloat32);
  EXPECT_EQ(net.bn1->num_batches_tracked.scalar_type(), torch::kInt64);
  EXPECT_EQ(net.table.scalar_type(), torch::kFloat32);
}

TEST(Apply, ParametersStayTheSameTensorsAndTrain) {
  const auto net = std::make_shared<BlockImpl>();
  torch::optim::SGD optimizer(net->parameters(), 0.1);
  auto* const before = net->conv1->weight.unsafeGetTensorImpl();
  const auto values = net->conv1->weight.detach().clone();
  halftone::apply(bf16_master_policy(), *net);
  EXPECT_EQ(net->conv1->weight.unsafeGetTensorImpl(), before);
  EXPECT_TRUE(net->conv1->weight.is_leaf());
  EXPECT_TRUE(net->conv1->weight.requires_grad());
  EXPECT_TRUE(at::equal(net->conv1->weight.detach(), values.to(torch::kBFloat16)));
  net->forward(torch::randn({2, 3, 6, 6}).to(torch::kBFloat16)).sum().backward();
  EXPECT_EQ(net->conv1->weight.grad().scalar_type(), torch::kBFloat16);
  EXPECT_EQ(net->bn1->weight.grad().scalar_type(), torch::kFloat32);
  optimizer.step();
  EXPECT_FALSE(at::equal(net->conv1->weight.detach(), values.to(torch::kBFloat16)));
}

TEST(Apply, GradientsAndStridesFollow) {
  BlockImpl net;
  net.conv1->to(torch::kFloat32);
  net.conv1->weight.set_data(net.conv1->weight.to(torch::MemoryFormat::ChannelsLast));
  net.forward(torch::randn({2, 3, 6, 6})).sum().backward();
  const auto version = net.conv1->weight._version();
  halftone::apply(bf16_master_policy(), net);
  EXPECT_TRUE(net.conv1->weight.is_contiguous(torch::MemoryFormat::ChannelsLast));
  EXPECT_EQ(net.conv1->weight.grad().scalar_type(), torch::kBFloat16);
  EXPECT_GT(net.conv1->weight._version(), version);
  net.forward(torch::randn({2, 3, 6, 6}).to(torch::kBFloat16)).sum().backward();
}

TEST(Apply, ExceptionsStayInFp32AndTheLastMatchWins) {
  BlockImpl net;
  Policy policy = bf16_master_policy();
  policy.modules = {{"*", Format::fp32}, {"conv?", Format::bf16}};
  halftone::apply(policy, net);
  EXPECT_EQ(net.conv1->weight.scalar_type(), torch::kBFloat16);
  EXPECT_EQ(net.fc->weight.scalar_type(), torch::kFloat32);
  policy.modules = {{"net.fc.bias", Format::fp32}, {"net.bn1", Format::bf16}};
  halftone::apply(policy, net, "net");
  EXPECT_EQ(net.fc->weight.scalar_type(), torch::kBFloat16);
  EXPECT_EQ(net.fc->bias.scalar_type(), torch::kFloat32);
  EXPECT_EQ(net.bn1->weight.scalar_type(), torch::kFloat32);
}

TEST(Apply, Fp32StorageBringsEveryWeightBack) {
  BlockImpl net;
  halftone::apply(bf16_master_policy(), net);
  halftone::apply(Policy::preset("fp16"), net);
  for (const auto& parameter : net.parameters()) {
    EXPECT_EQ(parameter.scalar_type(), torch::kFloat32);
  }
}

TEST(Apply, AnFp64InitialisationIsRoundedOnce) {
  // Between two bf16 numbers, above the middle by less than fp32 sees: through fp32 it would become
  // the tie, and go to even, 1.
  const double value = 1 + 0x1p-8 + 0x1p-30;
  Policy policy = bf16_master_policy();
  for (const Format init : {Format::fp64, Format::fp32}) {
    BlockImpl net;
    net.to(torch::kFloat64);
    torch::NoGradGuard no_grad;
    net.fc->weight.fill_(value);
    policy.init = init;
    halftone::apply(policy, net);
    const double expected = init == Format::fp64 ? 1 + 0x1p-7 : 1;
    EXPECT_EQ(net.fc->weight[0][0].item<double>(), expected);
    EXPECT_EQ(net.bn1->weight.scalar_type(), torch::kFloat32);
  }
}

TEST(Apply, AModuleRuleThatMatchesNothingIsRefusedBeforeAnythingIsChanged) {
  BlockImpl net;
  Policy policy = bf16_master_policy();
  policy.modules = {{"norms.1", Format::fp32}, {"norms", Format::fp32}, {"f?.bias", Format::fp32}};
  halftone::apply(policy, net);
  policy = Policy();
  policy.modules = {{"fc", Format::fp32}, {"cnov1", Format::fp32}};
  EXPECT_ERROR(
      halftone::apply(policy, net),
      "policy \"fp32\": modules.match = \"cnov1\", which matches nothing; expected the name "
      "of a parameter or module of the network (did you mean \"conv1\"?)");
  EXPECT_EQ(net.conv1->weight.scalar_type(), torch::kBFloat16);
  halftone::apply(policy, net, "part");  // the rules may be for another part
  EXPECT_EQ(net.conv1->weight.scalar_type(), torch::kFloat32);
}

TEST(Apply, AContradictoryPolicyChangesNothing) {
  BlockImpl net;
  Policy policy = bf16_master_policy();
  policy.loss_scale.init = -1;
  EXPECT_ERROR(halftone::apply(policy, net), "loss_scale.init = -1; expected a positive number");
  EXPECT_EQ(net.conv1->weight.scalar_type(), torch::kFloat32);
}

TEST(ParameterNames, AreThoseOfTheTreeWithAPrefix) {
  BlockImpl net;
  EXPECT_EQ(parameter_name(net.fc->weight), "");
  halftone::apply(Policy(), net);
  EXPECT_EQ(parameter_name(net.fc->weight), "fc.weight");
  EXPECT_EQ(parameter_name(net.bn1->bias), "bn1.bias");
  register_parameter_names(net, "student");
  EXPECT_EQ(parameter_name(net.fc->weight), "student.fc.weight");
  EXPECT_EQ(parameter_name(net.fc->weight.detach()), "");
  EXPECT_EQ(parameter_name(at::Tensor()), "");
}

struct TiedImpl : torch::nn::Module {
  TiedImpl() {
    first = register_module("first", torch::nn::Linear(4, 4));
    second = register_module("second", first);
  }
  torch::nn::Linear first{nullptr}, second{nullptr};
};

TEST(ParameterNames, ASharedParameterHasItsFirstName) {
  TiedImpl net;
  register_parameter_names(net);
  EXPECT_EQ(parameter_name(net.second->weight), "first.weight");
}

TEST(ParameterNames, DieWithTheParameter) {
  // New tensors take the freed addresses of the old ones; none may be given an old name.
  for (int i = 0; i < 2000; ++i) {
    torch::nn::Linear layer(2, 2);
    EXPECT_EQ(parameter_name(layer->weight), "");
    register_parameter_names(*layer);
    EXPECT_EQ(parameter_name(layer->weight), "weight");
  }
}

TEST(ParameterNames, ThreadsRegisterAndLookUpTogether) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&wrong, t] {
      for (int i = 0; i < 200; ++i) {
        torch::nn::Linear layer(2, 2);
        register_parameter_names(*layer, std::to_string(t));
        if (parameter_name(layer->bias) != std::to_string(t) + ".bias") ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
}

}  // namespace
}  // namespace halftone
