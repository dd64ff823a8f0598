#include "halftone/precision/policy.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

TEST(Preset, EachIsConsistentAndBearsItsName) {
  EXPECT_GE(Policy::preset_names().size(), 13u);
  for (const std::string& name : Policy::preset_names()) {
    SCOPED_TRACE(name);
    const Policy policy = Policy::preset(name);
    policy.check();
    EXPECT_EQ(policy.name == name, name[0] != 'O');
  }
}

TEST(Preset, Fp16ScalesItsLossAndTheOthersDoNot) {
  for (const std::string& name : Policy::preset_names()) {
    SCOPED_TRACE(name);
    const Policy policy = Policy::preset(name);
    const bool dynamic = policy.loss_scale.kind == LossScaling::dynamic;
    EXPECT_EQ(dynamic || policy.dynamic.layer_scales, policy.compute == Format::fp16);
    EXPECT_FALSE(dynamic && policy.dynamic.layer_scales);
  }
}

TEST(Preset, DynamicOnesAreFp16WithTheirSwitch) {
  EXPECT_EQ(Policy::preset("fp16-dynamic").dynamic.overflows, 2);
  EXPECT_TRUE(Policy::preset("fp16-layers").dynamic.layer_scales);
  for (const char* name : {"fp16-dynamic", "fp16-layers"}) {
    Policy policy = Policy::preset(name);
    policy.dynamic = {};
    policy.loss_scale.kind = LossScaling::dynamic;
    policy.name = "fp16";
    EXPECT_EQ(policy, Policy::preset("fp16")) << name;
  }
}

TEST(Preset, HalfWeightsHaveHalfGradients) {
  EXPECT_EQ(Policy::preset("bf16-master").gradients, Format::bf16);
  EXPECT_EQ(Policy::preset("fp16-kahan").gradients, Format::fp16);
  EXPECT_EQ(Policy::preset("fp16").gradients, Format::fp32);
  EXPECT_EQ(Policy::preset("bf16").evaluation, Format::bf16);
}

TEST(Preset, Fp8EmulatesE4M3ForwardAndE5M2Backward) {
  const Policy policy = Policy::preset("fp8-sim");
  EXPECT_EQ(policy.compute, Format::fp32);
  EXPECT_EQ(policy.emulation.weights, "e4m3fn");
  EXPECT_EQ(policy.emulation.activations, "e4m3fn");
  EXPECT_EQ(policy.emulation.gradients, "e5m2");
  EXPECT_TRUE(policy.emulation.exempt_ends);
  for (const std::string& name : Policy::preset_names()) {
    EXPECT_EQ(Policy::preset(name).emulation.active(), name == "fp8-sim") << name;
  }
}

TEST(Preset, ApexLevelsAreAliases) {
  EXPECT_EQ(Policy::preset("O0"), Policy::preset("fp32"));
  EXPECT_EQ(Policy::preset("O1"), Policy::preset("fp16"));
  EXPECT_EQ(Policy::preset("O2"), Policy::preset("fp16-master"));
  EXPECT_EQ(Policy::preset("O3"), Policy::preset("fp16-stochastic"));
}

TEST(Preset, AnUnknownNameIsRefusedWithTheNearest) {
  EXPECT_ERROR(Policy::preset("bf16-mastre"), "did you mean \"bf16-master\"?");
  EXPECT_ERROR(Policy::preset("o1"), "did you mean \"O1\"?");
  EXPECT_ERROR(Policy::preset(""), "unknown preset \"\"");
}

TEST(Preset, AnUnknownFormatIsRefusedWithTheNearest) {
  EXPECT_ERROR(parse_format("fp61", "p.toml:3"),
               "p.toml:3: unknown format \"fp61\"; expected fp64, fp32, fp16 or bf16 "
               "(did you mean \"fp16\"?)");
}

TEST(Rules, TheLastMatchWins) {
  Policy policy;
  policy.modules = {
      {"*", Format::bf16}, {"layer1", Format::fp32}, {"layer1.*.conv2*", Format::fp16}};
  EXPECT_EQ(policy.module_format("fc.weight"), Format::bf16);
  EXPECT_EQ(policy.module_format("layer1.0.conv1.weight"), Format::fp32);
  EXPECT_EQ(policy.module_format("layer1.0.conv2.weight"), Format::fp16);
  policy.operations = {{"conv*", Format::fp32}};
  EXPECT_EQ(policy.operation_format("conv2d"), Format::fp32);
  EXPECT_EQ(policy.operation_format("linear"), std::nullopt);
}

TEST(Rules, AModuleRuleCoversWhatIsInside) {
  Policy policy;
  policy.modules = {{"layer1.0", Format::fp32}};
  EXPECT_EQ(policy.module_format("layer1.0"), Format::fp32);
  EXPECT_EQ(policy.module_format("layer1.0.conv1.weight"), Format::fp32);
  EXPECT_EQ(policy.module_format("layer1.01.weight"), std::nullopt);
  EXPECT_EQ(policy.module_format("layer1"), std::nullopt);
  EXPECT_EQ(policy.module_format(""), std::nullopt);
}

TEST(Check, ContradictionsAreRefused) {
  Policy policy = Policy::preset("bf16");
  policy.evaluation = Format::fp16;
  EXPECT_ERROR(
      policy.check(),
      "policy \"bf16\": evaluation = \"fp16\"; expected fp32 or fp64 or the compute format");
  policy = Policy::preset("bf16");
  policy.gradients = Format::bf16;
  EXPECT_ERROR(policy.check(), "gradients = \"bf16\"; expected fp32, the format of the weights");
  policy = Policy();
  policy.weights = WeightStorage::half_kahan;
  EXPECT_ERROR(policy.check(), "weights = \"half-kahan\" with compute fp32; expected");
  policy = Policy();
  policy.compute = Format::fp64;
  EXPECT_ERROR(policy.check(), "compute = \"fp64\"");
  policy = Policy();
  policy.init = Format::bf16;
  EXPECT_ERROR(policy.check(), "init = \"bf16\"; expected fp32 or fp64");
  policy = Policy();
  policy.operations = {{"conv2d", Format::fp32}, {"", Format::fp32}};
  EXPECT_ERROR(policy.check(), "operations[1].match = ");
}

}  // namespace
}  // namespace halftone
