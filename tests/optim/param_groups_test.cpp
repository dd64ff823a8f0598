#include "halftone/optim/param_groups.h"

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include "halftone/optim/adamw.h"
#include "tests/support/test.h"

namespace halftone::optim {
namespace {

TEST(ParamGroups, BiasesAndNormsAreNotDecayed) {
  torch::nn::Sequential net(
      torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 4, 3)), torch::nn::BatchNorm2d(4),
      torch::nn::LayerNorm(torch::nn::LayerNormOptions({5, 5})), torch::nn::Linear(5, 2));
  const DecaySplit split = split_by_decay(*net);
  ASSERT_EQ(split.decayed.size(), 2u);
  EXPECT_EQ(split.decayed[0].dim(), 4);
  EXPECT_EQ(split.decayed[1].sizes(), at::IntArrayRef({2, 5}));
  EXPECT_EQ(split.plain.size(),
            6u);  // two biases, two of each norm; LayerNorm's have two dimensions
  AdamW optimizer(decay_groups(*net, AdamWOptions{.lr = 0.1, .weight_decay = 0.3}));
  const auto options = [&](std::size_t g) {
    return dynamic_cast<const GroupOptionsBase&>(optimizer.param_groups()[g].options()).common();
  };
  EXPECT_EQ(options(0).weight_decay, 0.3);
  EXPECT_EQ(options(1).weight_decay, 0);
  EXPECT_EQ(options(1).lr, 0.1);
}

TEST(ParamGroups, BiasesOfNormsApart) {
  torch::nn::Sequential net(torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 4, 3)),
                            torch::nn::BatchNorm2d(4), torch::nn::Linear(5, 2));
  const NormBiasSplit split = split_by_norm_bias(*net);
  ASSERT_EQ(split.norm_biases.size(), 1u);
  EXPECT_TRUE(split.norm_biases[0].is_same(net[1]->as<torch::nn::BatchNorm2d>()->bias));
  EXPECT_EQ(split.others.size(), 5u);
}

struct Tied : torch::nn::Module {
  Tied() {
    first = register_parameter("first", at::ones({2, 2}));
    second = register_parameter("second", first);
    frozen = register_parameter("frozen", at::ones({2, 2}), /*requires_grad=*/false);
  }
  at::Tensor first, second, frozen;
};

TEST(ParamGroups, SharedParameterComesOnceAndAFrozenOneNever) {
  const DecaySplit split = split_by_decay(*std::make_shared<Tied>());
  EXPECT_EQ(split.decayed.size(), 1u);
  EXPECT_TRUE(split.plain.empty());
}

TEST(ParamGroups, GroupWithoutParametersIsLeftOut) {
  torch::nn::Linear linear(torch::nn::LinearOptions(3, 3).bias(false));
  EXPECT_EQ(decay_groups(*linear, AdamWOptions{}).size(), 1u);
}

}  // namespace
}  // namespace halftone::optim
