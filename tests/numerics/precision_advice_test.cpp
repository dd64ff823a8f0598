#include "halftone/numerics/precision_advice.h"

#include <cmath>
#include <limits>
#include <random>

#include "tests/support/test.h"

namespace halftone::numerics {
namespace {

HalfCost half(Format format, double ms, double speedup, double error, double spread = 0.02) {
  HalfCost cost;
  cost.format = format;
  cost.time.forward_ms = ms;
  cost.speedup = {speedup, speedup * (1 - spread), speedup * (1 + spread)};
  cost.error.gradient = error;
  return cost;
}

OperationCosts costs(const std::string& parameter, double ms, std::vector<HalfCost> halves) {
  OperationCosts result;
  result.operation = {.parameter = parameter, .operation = "conv2d", .input = {}, .weight = {}};
  result.fp32.forward_ms = ms;
  result.half = std::move(halves);
  return result;
}

OperationCosts in_bf16(const std::string& parameter, double ms, double speedup, double error,
                       double spread = 0.02) {
  return costs(parameter, ms, {half(Format::bf16, ms / speedup, speedup, error, spread)});
}

constexpr PrecisionAdviceOptions kOptions{.max_error = 0.1, .step_ms = 100};

TEST(PrecisionAdvice, TakesTheHalfFormatForAllWhereItIsFasterAndAccurate) {
  const auto advice =
      choose_policy({in_bf16("a.weight", 40, 2, 0.03), in_bf16("b.weight", 40, 2, 0.04)}, kOptions);
  EXPECT_EQ(advice.policy, Policy::preset("bf16"));
  EXPECT_DOUBLE_EQ(advice.ms, 40.0);
  EXPECT_DOUBLE_EQ(advice.error, 0.05);  // 3, 4, 5
  EXPECT_EQ(advice.operations[0].reason, "bf16: 2.00× here, gradient SNR 30 dB");
}

TEST(PrecisionAdvice, NeverProposesWhatIsSlower) {
  const auto advice =
      choose_policy({in_bf16("a.weight", 40, 2, 0), in_bf16("b.weight", 40, 0.7, 0)}, kOptions);
  ASSERT_EQ(advice.policy.modules.size(), 1u);
  EXPECT_EQ(advice.policy.modules[0], (FormatRule{"b", Format::fp32}));
  EXPECT_EQ(advice.module_rules, std::vector<std::size_t>{1});
  EXPECT_EQ(advice.operations[1].reason, "fp32: 0.70× in bf16 here");
  EXPECT_EQ(advice.policy.name, "advised-bf16");
  advice.policy.check();
  const auto nothing = choose_policy({in_bf16("a.weight", 40, 0.7, 0)}, kOptions);
  EXPECT_EQ(nothing.policy, Policy::preset("fp32"));
  EXPECT_EQ(nothing.operations[0].reason, "fp32: no half format is faster here");
}

TEST(PrecisionAdvice, WhatCostsTooMuchAccuracyGoesUp) {
  const auto advice = choose_policy(
      {in_bf16("a.weight", 40, 2, 0.03), in_bf16("b.weight", 40, 2, 0.355)}, kOptions);
  ASSERT_EQ(advice.policy.modules.size(), 1u);
  EXPECT_EQ(advice.policy.modules[0], (FormatRule{"b", Format::fp32}));
  EXPECT_EQ(advice.operations[1].reason, "fp32: gradient SNR 9 dB in bf16");
  EXPECT_DOUBLE_EQ(advice.error, 0.03);
  // What neighbours share is not counted twice.
  auto shared = std::vector{in_bf16("a.weight", 40, 2, 0.03), in_bf16("b.weight", 40, 2, 0.355)};
  for (auto& each : shared) each.half[0].shared = 0.25;
  EXPECT_EQ(choose_policy(shared, kOptions).policy, Policy::preset("bf16"));
}

TEST(PrecisionAdvice, GoesUpWhereTheErrorFallsMostForTheTime) {
  // Either alone would do; the second one's time is a tenth.
  const auto advice =
      choose_policy({in_bf16("a.weight", 40, 2, 0.08), in_bf16("b.weight", 4, 2, 0.07)}, kOptions);
  ASSERT_EQ(advice.policy.modules.size(), 1u);
  EXPECT_EQ(advice.policy.modules[0].match, "b");
  // The cheap one goes up first and is not needed once the other one has gone, too.
  const auto back =
      choose_policy({in_bf16("a.weight", 40, 2, 0.2), in_bf16("b.weight", 4, 2, 0.07)}, kOptions);
  ASSERT_EQ(back.policy.modules.size(), 1u);
  EXPECT_EQ(back.policy.modules[0].match, "a");
}

TEST(PrecisionAdvice, WithinNoiseAndForATriflingTimeThereIsNoException) {
  const auto advice = choose_policy(
      {in_bf16("a.weight", 40, 2, 0.03), in_bf16("noisy.weight", 40, 0.93, 0.01, 0.1),
       in_bf16("close.weight", 40, 0.97, 0.01, 0.001), in_bf16("small.weight", 0.1, 0.5, 0.01)},
      kOptions);
  EXPECT_EQ(advice.policy, Policy::preset("bf16"));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(advice.operations[i].in_noise, i > 0) << i;
  EXPECT_EQ(advice.operations[1].reason,
            "bf16: 0.93× here (noise), as the rest, gradient SNR 40 dB");
}

// Timings that move within their own spread.
TEST(PrecisionAdvice, TwiceOnOneMachineIsTheSamePolicy) {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> jitter(-0.03, 0.03);
  const auto measured = [&] {
    std::vector<OperationCosts> list;
    const double speedups[] = {2, 1.6, 1.01, 0.6, 1.5};
    const double errors[] = {0.02, 0.2, 0.03, 0.01, 0.03};
    for (std::size_t i = 0; i < std::size(speedups); ++i) {
      list.push_back(in_bf16("layer" + std::to_string(i) + ".weight", 40,
                             speedups[i] * (1 + jitter(random)), errors[i], 0.04));
    }
    return choose_policy(list, kOptions).policy;
  };
  const Policy first = measured();
  EXPECT_EQ(first.modules,
            (std::vector<FormatRule>{{"layer1", Format::fp32}, {"layer3", Format::fp32}}));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(measured(), first) << i;
}

TEST(PrecisionAdvice, AThirdFormatServesWhereItIsFasterThanFp32AndAccurateEnough) {
  const auto both = [](const std::string& name, double bf16_error) {
    return costs(name, 40,
                 {half(Format::bf16, 20, 2, bf16_error), half(Format::fp16, 30, 1.33, 0.01)});
  };
  const auto advice = choose_policy(
      {both("a.weight", 0.02), both("b.weight", 0.3), both("c.weight", 0.02)}, kOptions);
  EXPECT_EQ(advice.policy.compute, Format::bf16);
  EXPECT_EQ(advice.policy.modules, (std::vector<FormatRule>{{"b", Format::fp16}}));
  EXPECT_EQ(advice.policy.loss_scale.kind, LossScaling::dynamic);
  EXPECT_EQ(advice.operations[1].reason,
            "fp16: gradient SNR 10 dB in bf16; 1.33× here, gradient SNR 40 dB");
  // Where bf16 serves nobody fp16's own policy is the simpler one.
  const auto fp16 = choose_policy({both("a.weight", 0.3), both("b.weight", 0.3)}, kOptions);
  EXPECT_EQ(fp16.policy, Policy::preset("fp16"));
}

TEST(PrecisionAdvice, AGradientThatIsNotFiniteIsNeverTaken) {
  const double infinity = std::numeric_limits<double>::infinity();
  const auto advice = choose_policy(
      {in_bf16("a.weight", 40, 2, infinity), in_bf16("b.weight", 40, 2, infinity)}, kOptions);
  EXPECT_EQ(advice.policy, Policy::preset("fp32"));
  EXPECT_EQ(advice.operations[0].reason, "fp32: gradient not finite in bf16");
}

TEST(PrecisionAdvice, WhatIsToBeKeptIsKept) {
  auto kept = std::vector{in_bf16("a.weight", 40, 2, 0), in_bf16("b.weight", 40, 2, 0)};
  kept[0].keep = true;
  for (const auto& advice :
       {choose_policy(kept, kOptions), uniform_policy(kept, Format::bf16, kOptions)}) {
    EXPECT_EQ(advice.policy.modules, (std::vector<FormatRule>{{"a", Format::fp32}}));
    EXPECT_EQ(advice.operations[0].reason, "fp32: asked for");
  }
}

TEST(PrecisionAdvice, RulesNameAModuleOrWhereThatIsAmbiguousAParameter) {
  const std::vector<LoweredOperation> operations = {
      {.parameter = "head.weight", .operation = "linear", .input = {}, .weight = {}},
      {.parameter = "attn.in_proj", .operation = "matmul", .input = {}, .weight = {}},
      {.parameter = "attn.out.weight", .operation = "linear", .input = {}, .weight = {}},
      {.parameter = "scale", .operation = "mm", .input = {}, .weight = {}},
      {.parameter = "", .operation = "bmm", .input = {}, .weight = {}}};
  const std::vector<std::string> names{"head", "attn.in_proj", "attn.out", "scale", "bmm"};
  for (std::size_t i = 0; i < names.size(); ++i) EXPECT_EQ(rule_name(operations, i), names[i]);
  const Policy alone = lowered_alone(operations, 1, Format::fp16);
  alone.check();
  EXPECT_EQ(alone.module_format("attn.in_proj"), Format::fp16);
  EXPECT_EQ(alone.module_format("attn.out.weight"), Format::fp32);
  EXPECT_EQ(alone.operation_format("bmm"), Format::fp32);
  EXPECT_EQ(lowered_alone(operations, 4, Format::fp16).operation_format("bmm"), Format::fp16);
}

// A rule for an operation would reach the parameters' ones of that name, too.
TEST(PrecisionAdvice, ARuleForAnOperationLeavesThoseOfParametersAlone) {
  auto list = std::vector{in_bf16("a.weight", 40, 2, 0), in_bf16("", 40, 0.5, 0)};
  const auto advice = choose_policy(list, kOptions);
  EXPECT_EQ(advice.policy.operations, (std::vector<FormatRule>{{"conv2d", Format::fp32}}));
  EXPECT_EQ(advice.policy.modules, (std::vector<FormatRule>{{"a", Format::bf16}}));
  EXPECT_EQ(advice.operation_rules, std::vector<std::size_t>{1});
}

}  // namespace
}  // namespace halftone::numerics
