#include "halftone/numerics/lockstep.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "halftone/base/error.h"
#include "halftone/ops/generator.h"
#include "halftone/precision/apply.h"
#include "halftone/precision/quantize.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::numerics {
namespace {

// Convolutions, normalisation, residual sums, pooling and a loss.
struct SteppedNet : torch::nn::Module {
  explicit SteppedNet(const Policy& policy, std::int64_t depth = 3) {
    using namespace torch::nn;
    at::set_num_threads(1);  // operations this small only lose by a second thread
    torch::manual_seed(5);
    for (std::int64_t i = 0; i < depth; ++i) {
      const std::string place = std::to_string(i);
      convs.push_back(
          register_module("conv" + place, Conv2d(Conv2dOptions(i ? 8 : 3, 8, 3).padding(1))));
      norms.push_back(register_module("norm" + place, BatchNorm2d(8)));
    }
    dropout = register_module("dropout", Dropout(0.2));
    last = register_module("last", Linear(8 * 16, 10));
    halftone::apply(policy, *this);
    for (int i = 0; i < 2; ++i) {
      inputs.push_back(torch::randn({8, 3, 8, 8}));
      targets.push_back(torch::randint(0, 10, {8}, torch::kLong));
    }
  }
  // A fault: the second convolution computes with a weight of one bit of mantissa.
  void coarsen() {
    const at::NoGradGuard no_grad;
    convs[1]->weight.copy_(quantize_dequantize(convs[1]->weight.detach().to(at::kFloat),
                                               {.format = "e2m1fn"}, torch::full({1}, 0.05)));
  }
  at::Tensor loss(std::size_t batch) {
    at::Tensor x = inputs[batch];
    for (std::size_t i = 0; i < convs.size(); ++i) {
      const at::Tensor y = torch::relu(norms[i](convs[i](x)));
      x = i ? x + y : y;
    }
    x = dropout(torch::max_pool2d(x, 2).flatten(1));
    return torch::cross_entropy_loss(last(x), targets[batch]);
  }
  LockstepArm arm(const Policy& policy) {
    return {*this, policy, [this](std::size_t batch) { return loss(batch); }};
  }
  std::vector<torch::nn::Conv2d> convs;
  std::vector<torch::nn::BatchNorm2d> norms;
  torch::nn::Dropout dropout{nullptr};
  torch::nn::Linear last{nullptr};
  std::vector<at::Tensor> inputs, targets;
};

const OperationDifference& row(const LockstepReport& report, const std::string& name) {
  const auto found =
      std::find_if(report.operations.begin(), report.operations.end(),
                   [&](const OperationDifference& each) { return each.name == name; });
  if (found == report.operations.end()) throw Error("no " + name);
  return *found;
}

TEST(Lockstep, TwoEqualPoliciesDifferInNothing) {
  for (const char* name : {"fp32", "bf16", "fp16", "fp16-master"}) {
    const Policy policy = Policy::preset(name);
    SteppedNet a(policy), b(policy);
    const LockstepReport report = lockstep(a.arm(policy), b.arm(policy), 2);
    EXPECT_GT(report.operations.size(), 14u);
    for (const OperationDifference& each : report.operations) {
      EXPECT_EQ(each.output, 0.0) << name << " " << each.name;
      EXPECT_LE(each.gradient, 0.0) << name << " " << each.name;
    }
    EXPECT_EQ(report.first_too_large().place, -1);
    EXPECT_EQ(report.headline(), "");
  }
}

TEST(Lockstep, OperationsStandInTheOrderOfExecutionWithBothErrors) {
  const Policy fp32 = Policy::preset("fp32"), bf16 = Policy::preset("bf16");
  SteppedNet a(fp32), b(bf16);
  const LockstepReport report = lockstep(a.arm(fp32), b.arm(bf16), 2);
  EXPECT_EQ(report.operations.front().name, "conv0.weight · conv2d");
  EXPECT_EQ(report.operations.front().format_a, "fp32");
  EXPECT_EQ(report.operations.front().format_b, "bf16");
  EXPECT_NE(report.operations.back().name.find("cross_entropy_loss"), std::string::npos);
  const OperationDifference& first = row(report, "conv0.weight · conv2d");
  EXPECT_GT(first.output, tolerance::kBf16Unit / 4);
  EXPECT_LT(first.output, first.expected_output);
  EXPECT_GT(first.gradient, 0);
  const OperationDifference& last = row(report, "last.weight · addmm");
  EXPECT_GT(last.output, first.output);
  EXPECT_LT(last.gradient, first.gradient);
  EXPECT_EQ(report.first_too_large().place, -1) << report.headline();
  EXPECT_TRUE(report.only_a.empty());
  EXPECT_TRUE(report.only_b.empty());
}

// Formats of three and eleven bits less than fp32, and emulated ones, explain what they do, in a
// shallow network and in a deep one.
TEST(Lockstep, WhatTheFormatsExplainIsNotMarked) {
  const Policy fp32 = Policy::preset("fp32");
  for (const char* name : {"bf16", "fp16", "bf16-master", "fp16-master", "fp8-sim"}) {
    for (std::int64_t depth : {2, 12}) {
      const Policy policy = Policy::preset(name);
      SteppedNet a(fp32, depth), b(policy, depth);
      const LockstepReport report = lockstep(a.arm(fp32), b.arm(policy), 2);
      EXPECT_EQ(report.first_too_large().place, -1) << name << " " << report.headline();
    }
  }
}

// The estimate is one: neither so low that only kAllowed saves it nor so high that nothing could be
// above. Without its term for the kinks of ReLU it is below what is measured at the bottom.
TEST(Lockstep, ExpectedErrorsAreOfTheSizeOfTheMeasuredOnes) {
  const Policy fp32 = Policy::preset("fp32");
  for (const char* name : {"bf16", "fp16"}) {
    const Policy policy = Policy::preset(name);
    SteppedNet a(fp32, 12), b(policy, 12);
    const LockstepReport report = lockstep(a.arm(fp32), b.arm(policy), 2);
    const OperationDifference& bottom = row(report, "conv0.weight · conv2d");
    const OperationDifference& top = row(report, "conv11.weight · conv2d");
    EXPECT_GT(bottom.gradient, bottom.expected_gradient / 8) << name;
    EXPECT_LT(bottom.gradient, bottom.expected_gradient) << name;
    EXPECT_GT(top.output, top.expected_output / 8) << name;
    EXPECT_LT(top.output, top.expected_output * 2) << name;
  }
}

TEST(Lockstep, MarksThePlantedWrongOperation) {
  const Policy fp32 = Policy::preset("fp32");
  for (const char* name : {"fp32", "bf16", "fp16"}) {
    const Policy policy = Policy::preset(name);
    SteppedNet a(fp32, 5), b(policy, 5);
    b.coarsen();
    const LockstepReport report = lockstep(a.arm(fp32), b.arm(policy), 1);
    const LockstepReport::First first = report.first_too_large();
    ASSERT_GE(first.place, 0) << name;
    EXPECT_TRUE(report.headline().starts_with("conv1.weight · conv2d, output: "))
        << name << " " << report.headline();
    EXPECT_EQ(report.to_json().at("first_too_large").at("name").as_string(),
              "conv1.weight · conv2d");
    EXPECT_EQ(report.to_json().at("first_too_large").at("part").as_string(), "output");
  }
}

TEST(Lockstep, LeavesNoTrace) {
  const Policy fp32 = Policy::preset("fp32"), fp16 = Policy::preset("fp16");
  SteppedNet a(fp32), b(fp16);
  const at::Tensor generator = generator_state(), mean = b.norms[0]->running_mean.clone();
  lockstep(a.arm(fp32), b.arm(fp16), 1);
  EXPECT_TRUE(torch::equal(generator, generator_state()));
  EXPECT_TRUE(torch::equal(mean, b.norms[0]->running_mean));
  EXPECT_FALSE(b.last->weight.grad().defined());
}

// What a condition amplifies little by little is inherited; what jumps is marked.
TEST(Lockstep, ErrorsThatWereThereBeforeAreNotAnOperationsOwn) {
  const Policy fp32 = Policy::preset("fp32");
  SteppedNet a(fp32, 5), b(fp32, 5);
  b.coarsen();
  const LockstepReport report = lockstep(a.arm(fp32), b.arm(fp32), 1);
  std::size_t marked = 0;
  for (const OperationDifference& each : report.operations) marked += each.output_too_large();
  EXPECT_EQ(marked, 1u);
  EXPECT_GT(report.operations.back().output, 8 * report.operations.back().expected_output);
}

// Gradients that overflow at 65536 are compared at the scale at which they do not.
TEST(Lockstep, LowersALossScaleThatOverflows) {
  const Policy fp32 = Policy::preset("fp32");
  Policy fp16 = Policy::preset("fp16");
  fp16.loss_scale.init = 0x1p40;
  SteppedNet a(fp32), b(fp16);
  const LockstepReport report = lockstep(a.arm(fp32), b.arm(fp16), 1);
  EXPECT_LT(report.loss_scale_b, 0x1p40);
  EXPECT_GT(report.loss_scale_b, 1);
  EXPECT_TRUE(std::isfinite(row(report, "conv0.weight · conv2d").gradient));
}

struct Unlike : torch::nn::Module {
  Unlike() { weight = register_parameter("weight", torch::ones({3})); }
  at::Tensor weight;
};

TEST(Lockstep, RefusesWhatCannotBeCompared) {
  const Policy fp32 = Policy::preset("fp32");
  SteppedNet net(fp32);
  torch::nn::Module empty;
  EXPECT_THROW(lockstep(net.arm(fp32), net.arm(fp32), 0), UsageError);
  EXPECT_THROW(lockstep({empty, fp32, {}}, net.arm(fp32), 1), UsageError);
  Unlike other;
  const LockstepArm unlike{other, fp32, [&](std::size_t) { return other.weight.exp().prod(); }};
  EXPECT_THROW(lockstep(net.arm(fp32), unlike, 1), Error);
}

TEST(Lockstep, AnExceptionInTheNetworkLeavesNoWatchBehind) {
  const Policy fp32 = Policy::preset("fp32");
  SteppedNet a(fp32), b(fp32);
  b.inputs[0] = torch::randn({8, 4, 8, 8});  // a channel too many
  EXPECT_ANY_THROW(lockstep(a.arm(fp32), b.arm(fp32), 1));
  EXPECT_EQ(lockstep(a.arm(fp32), a.arm(fp32), 1).operations.front().output, 0.0);
}

}  // namespace
}  // namespace halftone::numerics
