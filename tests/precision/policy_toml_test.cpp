#include <cmath>
#include <fstream>
#include <random>

#include "halftone/precision/policy.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

template <class T>
T pick(std::mt19937& random, std::initializer_list<T> values) {
  return values.begin()[random() % values.size()];
}

std::vector<FormatRule> random_rules(std::mt19937& random,
                                     std::initializer_list<const char*> globs) {
  std::vector<FormatRule> rules;
  for (unsigned i = random() % 3; i-- > 0;) {
    rules.push_back(
        {pick(random, globs), pick(random, {Format::fp32, Format::fp16, Format::bf16})});
  }
  return rules;
}

Policy random_policy(std::mt19937& random) {
  const auto names = Policy::preset_names();
  Policy policy = Policy::preset(names[random() % names.size()]);
  policy.name = pick<const char*>(random, {"mine", "", "two words", "a\nb\"c"});
  policy.modules = random_rules(random, {"*", "fc.*", "a \"b\"\\?", "layer1.?.conv#"});
  policy.operations = random_rules(random, {"*", "conv?d", "softmax", "sum.dim_IntList"});
  policy.emulation.weights = pick<const char*>(random, {"none", "e4m3fn", "int8"});
  policy.emulation.activations = pick<const char*>(random, {"none", "e5m2", "e2m1fn"});
  policy.emulation.gradients = pick<const char*>(random, {"none", "e5m2fnuz", "int2"});
  policy.emulation.scaling =
      pick(random, {EmulationScaling::current, EmulationScaling::delayed, EmulationScaling::block});
  policy.emulation.history = 1 + random() % 2000;
  policy.emulation.exempt_ends = random() % 2;
  policy.emulation.stochastic_gradients = random() % 2;
  policy.dynamic = {};  // of presets with layer_scales, which contradict much of what follows
  policy.dynamic.overflows = random() % 4;
  policy.dynamic.within = 1 + random() % 100;
  policy.dynamic.scale_floor = std::ldexp(1.0 + (random() % 100) / 100.0, random() % 20);
  policy.dynamic.retry = 1 + random() % 5000;
  if ((is_half(policy.compute) || policy.emulation.active()) && random() % 2) {
    CalibrationPolicy& rule = policy.calibrate.emplace();
    rule.every = 1 + random() % 1000;
    rule.batches = 1 + random() % 9;
    rule.reference = pick(random, {Format::fp32, Format::fp64});
    rule.loss_bound = (1 + random() % 100) / 999.0;
    rule.metric_bound = (random() % 100) / 999.0;
    rule.release = (1 + random() % 100) / 100.0;
    rule.patience = 1 + random() % 9;
  }
  policy.init = pick(random, {Format::fp32, Format::fp64});
  policy.evaluation = pick(random, {Format::fp32, Format::fp64, policy.compute});
  policy.save = pick(random, {Format::fp32, Format::fp16, Format::bf16});
  LossScalePolicy& scale = policy.loss_scale;
  scale.kind = pick(random, {LossScaling::none, LossScaling::fixed, LossScaling::dynamic});
  scale.init = std::ldexp(1.0 + (random() % 1000) / 1000.0, static_cast<int>(random() % 20));
  scale.growth_factor = 1 + (random() % 100) / 17.0;
  scale.backoff_factor = (1 + random() % 100) / 100.0;
  scale.growth_interval = 1 + random() % 5000;
  scale.hysteresis = 1 + random() % 4;
  scale.min = 0x1p-14 * (1 + random() % 3);
  return policy;
}

TEST(PolicyToml, EveryPresetReadsBackTheSame) {
  for (const std::string& name : Policy::preset_names()) {
    const Policy policy = Policy::preset(name);
    EXPECT_EQ(Policy::from_toml(policy.to_toml()), policy) << policy.to_toml();
  }
}

TEST(PolicyToml, EveryPolicyReadsBackTheSame) {
  std::mt19937 random(41);
  for (int i = 0; i < 2000; ++i) {
    const Policy policy = random_policy(random);
    ASSERT_EQ(Policy::from_toml(policy.to_toml()), policy) << policy.to_toml();
    ASSERT_EQ(Policy::from_toml(policy.to_toml()).to_toml(), policy.to_toml());
  }
}

TEST(PolicyToml, APresetIsWhatTheOtherKeysStartFrom) {
  Policy expected = Policy::preset("fp16");
  expected.loss_scale.init = 1024;
  expected.modules = {{"fc*", Format::fp32}};
  EXPECT_EQ(Policy::from_toml("preset = \"fp16\"\nloss_scale.init = 1024\n"
                              "modules = [{ match = \"fc*\", format = \"fp32\" }]"),
            expected);
  EXPECT_EQ(Policy::from_toml("preset = 'O2'"), Policy::preset("fp16-master"));
  EXPECT_EQ(Policy::from_toml("").name, "custom");
}

TEST(PolicyToml, UnknownNamesAreRefusedWithLineAndNearest) {
  const auto read = [](const std::string& text) { return Policy::from_toml(text, "p.toml"); };
  EXPECT_ERROR(read("\ncompue = \"bf16\""), "p.toml:2: unknown key \"compue\"");
  EXPECT_ERROR(read("\ncompue = \"bf16\""), "(did you mean \"compute\"?)");
  EXPECT_ERROR(read("# x\npreset = \"bf61\""), "p.toml:2: unknown preset \"bf61\"");
  EXPECT_ERROR(read("# x\npreset = \"bf61\""), "(did you mean \"bf16\"?)");
  EXPECT_ERROR(read("compute = \"fp23\""), "p.toml:1: unknown format \"fp23\"");
  EXPECT_ERROR(read("compute = \"fp23\""), "(did you mean \"fp32\"?)");
  EXPECT_ERROR(
      read("weights = \"half-mastre\""),
      "p.toml:1: weights = \"half-mastre\"; expected fp32, half-master, half-stochastic or "
      "half-kahan (did you mean \"half-master\"?)");
  EXPECT_ERROR(read("[loss_scale]\n\nkind = \"dynamics\""), "p.toml:3: loss_scale.kind");
  EXPECT_ERROR(read("[loss_scale]\ngrowth = 2"), "p.toml:2: unknown key \"growth\"");
  EXPECT_ERROR(read("[[modules]]\nmatch = \"*\"\nfromat = \"fp32\""),
               "p.toml:3: unknown key \"fromat\"; expected match or format (did you mean "
               "\"format\"?)");
}

TEST(PolicyToml, UnknownEmulatedFormatsAreRefusedWithLineAndNearest) {
  const auto read = [](const std::string& text) { return Policy::from_toml(text, "p.toml"); };
  EXPECT_ERROR(read("preset = \"fp8-sim\"\n[emulation]\nweights = \"e4m3nf\""),
               "p.toml:3: emulation.weights = \"e4m3nf\"; expected none, e4m3fn, e4m3, ");
  EXPECT_ERROR(read("[emulation]\nweights = \"e4m3nf\""), "(did you mean \"e4m3fn\"?)");
  EXPECT_ERROR(read("emulation.gradients = \"fp8\""), "p.toml:1: emulation.gradients = \"fp8\"");
  EXPECT_ERROR(read("[emulation]\nscaling = \"blocks\""),
               "p.toml:2: emulation.scaling = \"blocks\"; expected current, delayed or block "
               "(did you mean \"block\"?)");
  EXPECT_ERROR(read("[emulation]\nhistory = 0"), "p.toml:2: emulation.history = 0; expected");
  EXPECT_ERROR(read("[emulation]\nexempt_ends = 1"),
               "p.toml:2: emulation.exempt_ends = 1; expected true or false");
  EXPECT_ERROR(read("[emulation]\nexempt_end = true"), "(did you mean \"exempt_ends\"?)");
}

TEST(PolicyToml, DynamicKeysAreReadAndRefusedWithLineAndNearest) {
  const auto read = [](const std::string& text) { return Policy::from_toml(text, "p.toml"); };
  const Policy policy = read("preset = \"fp16\"\n[dynamic]\noverflows = 3\nretry = 50");
  EXPECT_EQ(policy.dynamic, (DynamicPolicy{.overflows = 3, .retry = 50}));
  EXPECT_ERROR(read("[dynamic]\noverflow = 3"), "p.toml:2: unknown key \"overflow\"");
  EXPECT_ERROR(read("[dynamic]\noverflow = 3"), "(did you mean \"overflows\"?)");
  EXPECT_ERROR(read("[dynamik]\noverflows = 3"), "(did you mean \"dynamic\"?)");
  EXPECT_ERROR(read("[dynamic]\nretry = 0"), "p.toml:2: dynamic.retry = 0; expected");
  EXPECT_ERROR(read("[dynamic]\noverflows = -1"), "p.toml:2: dynamic.overflows = -1; expected");
  EXPECT_ERROR(read("[dynamic]\nscale_floor = 0"), "p.toml:2: dynamic.scale_floor = 0; expected");
  EXPECT_ERROR(read("[dynamic]\nlayer_scales = 1"), "expected true or false");
  const auto layers = [&](const std::string& head) {
    return read(head + "\n[dynamic]\nlayer_scales = true");
  };
  EXPECT_ERROR(layers("compute = \"bf16\""), "true with compute bf16; expected compute fp16");
  EXPECT_ERROR(layers("preset = \"fp16\""),
               "p.toml:3: dynamic.layer_scales = true with a loss scale; expected");
  EXPECT_ERROR(layers("preset = \"fp16-master\""), "true with weights \"half-master\"");
  EXPECT_ERROR(read("preset = \"fp16-layers\"\n[dynamic]\noverflows = 2"), "one of the two");
}

TEST(PolicyToml, CalibrationKeysAreReadAndRefusedWithLineAndNearest) {
  const auto read = [](const std::string& text) {
    return Policy::from_toml("preset = \"bf16\"\n[calibrate]\n" + text, "p.toml");
  };
  EXPECT_FALSE(Policy::from_toml("preset = \"bf16\"").calibrate);
  EXPECT_EQ(read("").calibrate, CalibrationPolicy{});
  EXPECT_EQ(read("every = 20\nreference = \"fp64\"\nmetric_bound = 0.02\nloss_bound = 0\n"
                 "release = 0.25\npatience = 5\nbatches = 7")
                .calibrate,
            (CalibrationPolicy{.every = 20,
                               .batches = 7,
                               .reference = Format::fp64,
                               .loss_bound = 0,
                               .metric_bound = 0.02,
                               .release = 0.25,
                               .patience = 5}));
  EXPECT_ERROR(read("evry = 3"), "p.toml:3: unknown key \"evry\"");
  EXPECT_ERROR(read("evry = 3"), "(did you mean \"every\"?)");
  EXPECT_ERROR(read("every = 0"), "p.toml:3: calibrate.every = 0; expected a whole number from 1");
  EXPECT_ERROR(read("every = 2.5"), "calibrate.every = 2.5; expected a whole number");
  EXPECT_ERROR(read("batches = 0"), "p.toml:3: calibrate.batches = 0; expected");
  EXPECT_ERROR(read("patience = -1"), "p.toml:3: calibrate.patience = -1; expected");
  EXPECT_ERROR(read("loss_bound = -0.1"), "p.toml:3: calibrate.loss_bound = -0.1; expected a num");
  EXPECT_ERROR(read("\nmetric_bound = nan"), "p.toml:4: calibrate.metric_bound = nan; expected");
  EXPECT_ERROR(read("loss_bound = 0"), "a bound above 0 for one of them");
  EXPECT_ERROR(read("release = 1.5"), "p.toml:3: calibrate.release = 1.5; expected a number above");
  EXPECT_ERROR(read("reference = \"bf16\""), "p.toml:3: calibrate.reference = \"bf16\"");
  EXPECT_ERROR(read("reference = \"fp23\""), "(did you mean \"fp32\"?)");
  EXPECT_ERROR(Policy::from_toml("calibrat.every = 3", "p.toml"), "(did you mean \"calibrate\"?)");
  EXPECT_ERROR(Policy::from_toml("calibrate.every = 3", "p.toml"),
               "p.toml:1: calibrate.every = 3 with compute fp32 and nothing emulated; expected");
  EXPECT_EQ(Policy::from_toml("preset = \"fp8-sim\"\ncalibrate.every = 3").calibrate->every, 3);
}

TEST(PolicyToml, WrongTypesAreRefusedWithTheirLine) {
  const auto read = [](const std::string& text) { return Policy::from_toml(text, "p.toml"); };
  EXPECT_ERROR(read("\ncompute = 16"), "p.toml:2: compute = 16; expected a string");
  EXPECT_ERROR(read("loss_scale = 2"), "p.toml:1: loss_scale = 2; expected a table");
  EXPECT_ERROR(read("[loss_scale]\ninit = \"big\""),
               "p.toml:2: loss_scale.init = \"big\"; expected a number");
  EXPECT_ERROR(read("[loss_scale]\ngrowth_interval = 2.5"),
               "p.toml:2: loss_scale.growth_interval = 2.5; expected a whole number");
  EXPECT_ERROR(read("modules = \"fc\""), "p.toml:1: modules = \"fc\"; expected an array");
  EXPECT_ERROR(read("modules = [\n\"fc\"]"), "p.toml:2: modules[0] = \"fc\"; expected a table");
  EXPECT_ERROR(read("\n[[modules]]\nmatch = \"x\""), "p.toml:2: no key modules[0].format");
}

TEST(PolicyToml, NumbersOutOfRangeAreRefusedWithTheirLine) {
  const auto expect_refused = [](const std::string& line) {
    SCOPED_TRACE(line);
    const std::string key = line.substr(0, line.find(' '));
    EXPECT_ERROR(Policy::from_toml("preset = 'fp16'\n[loss_scale]\n" + line, "p.toml"),
                 "p.toml:3: loss_scale." + key + " = ");
  };
  for (const char* line : {"init = 0", "init = -1.0", "init = nan", "init = inf", "init = 1e39",
                           "init = 0.5", "growth_factor = 0.99", "growth_factor = nan",
                           "growth_factor = inf", "backoff_factor = 0", "backoff_factor = 1.5",
                           "backoff_factor = nan", "growth_interval = 0", "growth_interval = -5",
                           "hysteresis = 0", "min = 0", "min = nan", "max = inf", "max = 0.5"}) {
    expect_refused(line);
  }
}

TEST(PolicyToml, ContradictionsAreRefusedAtTheKeyThatIsThere) {
  EXPECT_ERROR(Policy::from_toml("preset = 'bf16-master'\n\ncompute = 'fp32'", "p.toml"),
               "p.toml:3: weights = \"half-master\" with compute fp32");
  EXPECT_ERROR(Policy::from_toml("preset = 'bf16'\nevaluation = 'fp16'", "p.toml"),
               "p.toml:2: evaluation = \"fp16\"");
  EXPECT_ERROR(
      Policy::from_toml("preset = 'bf16'\n[[modules]]\nmatch='*'\nformat='fp64'", "p.toml"),
      "p.toml:4: modules[0].format = \"fp64\"; expected fp32, fp16 or bf16");
}

TEST(PolicyToml, WhatNothingHonoursIsRefusedWithItsLine) {
  const auto read = [](const std::string& text) { return Policy::from_toml(text, "p.toml"); };
  EXPECT_ERROR(read("preset = 'bf16-master'\ngradients = 'fp32'"),
               "p.toml:2: gradients = \"fp32\"; expected bf16, the format of the weights");
  EXPECT_ERROR(read("preset = 'fp16'\ngradients = 'fp16'"),
               "p.toml:2: gradients = \"fp16\"; expected fp32, the format of the weights");
  EXPECT_ERROR(read("preset = 'bf16'\n\nreduction = 'bf16'"),
               "p.toml:3: reduction = \"bf16\"; expected fp32: no other is supported yet");
}

TEST(PolicyToml, GradientsFollowTheWeightsWhereTheyAreNotNamed) {
  EXPECT_EQ(Policy::from_toml("preset = 'bf16'\nweights = 'half-master'").gradients, Format::bf16);
  EXPECT_EQ(Policy::from_toml("preset = 'fp16-kahan'\nweights = 'fp32'").gradients, Format::fp32);
}

TEST(PolicyToml, AnOperationThatTheTableLacksIsRefusedWithItsLineAndTheNearest) {
  EXPECT_ERROR(
      Policy::from_toml("preset = 'bf16'\n\n[[operations]]\nmatch = 'linear'\nformat = 'fp32'\n"
                        "[[operations]]\nmatch = 'cnov2d'\nformat = 'fp32'",
                        "p.toml"),
      "p.toml:7: operations[1].match = \"cnov2d\"; expected an operation of the cast table (did "
      "you mean \"conv2d\"?)");
}

TEST(PolicyToml, SyntaxErrorsNameTheFileAndLine) {
  const Scratch scratch;
  const std::string path = (scratch / "policy.toml").string();
  std::ofstream(path) << "compute = \"bf16\"\nweights = fp32\n";
  EXPECT_ERROR(Policy::load(path), path + ":2: \"fp32\"; expected a value: a string in quotes");
  std::ofstream(path) << Policy::preset("bf16").to_toml();
  EXPECT_EQ(Policy::load(path), Policy::preset("bf16"));
  EXPECT_ERROR(Policy::load(path + ".missing"), path + ".missing: cannot read");
}

TEST(PolicyToml, AFileSaysWhatElseEachKeyMayBe) {
  const std::string text = Policy::preset("bf16").to_toml();
  EXPECT_NE(text.find("# of matmul-like operations: fp32, fp16 or bf16\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("[loss_scale]\nkind = \"none\"  # none, static or dynamic\n"),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace halftone
