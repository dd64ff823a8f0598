#include "halftone/tasks/run_config.h"

#include "halftone/tasks/resume.h"
#include "halftone/tasks/task.h"
#include "tests/support/test.h"

namespace halftone::tasks {
namespace {

RunConfig example() {
  RunConfig config;
  config.task = "fashion-mnist";
  config.model = "cnn";
  config.data = "/data/with \"quotes\"";
  config.epochs = 3;
  config.batch = 64;
  config.accumulate = 4;
  config.recompute = true;
  config.lr = 0.1;
  config.weight_decay = 5e-4;
  config.seed = 7;
  config.checkpoint_every = 50;
  config.precision = "fp16-master";
  config.policy = Policy::preset("fp16-master");
  config.policy.modules = {{"conv1.*", Format::fp32}};
  config.policy.loss_scale.init = 1024;
  return config;
}

TEST(RunConfig, ReadsBackWhatItWrites) {
  EXPECT_EQ(RunConfig::from_toml(example().to_toml(), "config.toml"), example());
}

// Files of before they were there.
TEST(RunConfig, WithoutAccumulateAndRecomputeItIsOneBatchAStepAndNothingRecomputed) {
  RunConfig config = example();
  config.accumulate = 1;
  config.recompute = false;
  std::string text = config.to_toml();
  for (const char* key : {"accumulate = ", "recompute = "}) {
    const std::size_t at = text.find(key);
    text.erase(at, text.find('\n', at) + 1 - at);
  }
  EXPECT_EQ(RunConfig::from_toml(text, "config.toml"), config);
}

TEST(RunConfig, FolderOfPretrainedWeightsIsKeptAndMustBeTheSameOnResuming) {
  RunConfig config = example();
  config.pretrained = "/models/minilm";
  EXPECT_EQ(RunConfig::from_toml(config.to_toml(), "config.toml"), config);
  RunConfig asked = config;
  asked.pretrained = "/models/other";
  EXPECT_ERROR(resumed_config(config, asked, {.pretrained = true}),
               "--pretrained: /models/other; expected /models/minilm");
  EXPECT_EQ(resumed_config(config, asked, {}), config);
}

TEST(RunConfig, UnknownKeyIsAnErrorWithTheLineAndTheNearestName) {
  EXPECT_ERROR(RunConfig::from_toml("bacth = 3\n" + example().to_toml(), "config.toml"),
               "config.toml:1");
  EXPECT_ERROR(RunConfig::from_toml("bacth = 3\n" + example().to_toml(), "config.toml"), "batch");
}

TEST(RunConfig, NumbersThatNoCommandLineTakesAreErrorsWithTheLine) {
  const auto edited = [](const std::string& key, const std::string& value) {
    const std::string text = example().to_toml();
    const std::size_t at = text.find("\n" + key + " = ") + key.size() + 4;
    return text.substr(0, at) + value + text.substr(text.find_first_of(" \n", at));
  };
  const std::pair<const char*, const char*> wrong[] = {
      {"batch", "0"},           {"batch", "9000000000000000000"},
      {"epochs", "-1"},         {"epochs", "0"},
      {"steps", "-5"},          {"lr", "nan"},
      {"lr", "-0.1"},           {"weight_decay", "inf"},
      {"seed", "-1"},           {"lr", "0"},
      {"weight_decay", "-1.0"}, {"checkpoint_every", "-3"},
      {"accumulate", "0"},      {"recompute", "2"},
      {"lr", "\"fast\""},       {"batch", "64.5"}};
  for (const auto& [key, value] : wrong) {
    SCOPED_TRACE(std::string(key) + " = " + value);
    EXPECT_ERROR(RunConfig::from_toml(edited(key, value), "config.toml"), "config.toml:");
    EXPECT_ERROR(RunConfig::from_toml(edited(key, value), "config.toml"), "expected");
  }
}

TEST(RunConfig, DirectoryWithoutARunIsNamed) {
  EXPECT_ERROR(RunConfig::load("/nonexistent"), "/nonexistent: no config.toml");
}

TEST(RunConfig, StepsAloneCarryTheScheduleAndWithEpochsOnlyEndTheRun) {
  RunConfig config;
  config.epochs = 3;
  EXPECT_EQ(config.total_steps(100), 300);
  config.steps = 50;
  EXPECT_EQ(config.total_steps(100), 50);
  EXPECT_EQ(config.schedule_steps(100), 300);
  config.epochs = 0;
  config.steps = 150;
  EXPECT_EQ(config.total_epochs(100), 2);
  EXPECT_EQ(config.schedule_steps(100), 150);
  EXPECT_EQ(config.total_steps(100), 150);
  config.accumulate = 8;  // 12 steps of 8 batches and one of 4
  EXPECT_EQ(config.steps_per_epoch(100), 13);
  EXPECT_EQ(config.total_epochs(100), 12);
  config.epochs = 2;
  EXPECT_EQ(config.schedule_steps(100), 26);
}

TEST(Resume, TakesTheLengthFromTheCommandLineAndTheRestFromTheRun) {
  RunConfig asked = example();
  asked.epochs = 5;
  asked.lr = 0.3;  // a default, not given
  const RunConfig config = resumed_config(example(), asked, {.task = true, .epochs = true});
  EXPECT_EQ(config.epochs, 5);
  EXPECT_EQ(config.lr, 0.1);
  RunConfig saved = example();
  saved.recompute = false;  // may change: the bits are the same
  EXPECT_TRUE(resumed_config(saved, example(), {.recompute = true}).recompute);
}

TEST(Resume, AnotherLearningRateOrPolicyThanTheRunsIsAnError) {
  RunConfig asked = example();
  asked.lr = 0.3;
  EXPECT_ERROR(resumed_config(example(), asked, {.lr = true}), "--lr: 0.3; expected 0.1");
  asked.accumulate = 2;
  EXPECT_ERROR(resumed_config(example(), asked, {.accumulate = true}),
               "--accumulate: 2; expected 4");
  asked.policy = Policy::preset("bf16");
  EXPECT_ERROR(resumed_config(example(), asked, {.policy = true}), "--precision: bf16");
}

TEST(Tasks, UnknownTaskIsAnErrorWithTheNearestName) {
  EXPECT_ERROR(find_task("fashion_mnist"), "did you mean \"fashion-mnist\"");
  for (const auto& name : task_names()) {
    const Task& task = find_task(name);
    EXPECT_GT(task.defaults(task.default_model()).lr, 0.0);
    EXPECT_FALSE(task.facts().source.empty());
    EXPECT_FALSE(task.facts().time.empty());
  }
}

}  // namespace
}  // namespace halftone::tasks
