#include "halftone/tasks/run_difference.h"

#include <ATen/Parallel.h>

#include "halftone/base/error.h"
#include "halftone/tasks/train_run.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"
#include "tests/tasks/striped_images.h"

namespace halftone::tasks {
namespace {

void train_into(const std::filesystem::path& out, RunConfig config, const TaskData& data) {
  at::set_num_threads(1);  // steps this small only lose by a second thread
  config.steps = 8;
  TrainRunOptions options;
  options.out = out;
  options.monitor_every = 5;
  train_run(config, data, options);
}

TEST(RunDifference, OfARunAndItselfIsNothing) {
  const Scratch out;
  const auto data = striped_images(320);
  train_into(out.path(), small_config("bf16"), *data);
  const RunDifference difference = diff_runs(out.path(), out.path(), *data, 1);
  EXPECT_TRUE(difference.settings.empty());
  EXPECT_EQ(difference.history_a.losses.size(), 8u);
  EXPECT_EQ(difference.first_other_loss, 0);
  EXPECT_EQ(difference.range_step, 6);
  EXPECT_TRUE(difference.ranges.empty());
  for (const WeightDifference& each : difference.weights) EXPECT_EQ(each.relative, 0) << each.name;
  for (const auto& each : difference.operations.operations) EXPECT_EQ(each.output, 0) << each.name;
  const std::string text = diff_text(difference, 5);
  EXPECT_NE(text.find("the same configuration"), std::string::npos);
  EXPECT_NE(text.find("no operation differs by more"), std::string::npos);
}

TEST(RunDifference, TellsWhatThePolicyDidFromWhatTrainingDid) {
  const Scratch a, b;
  const auto data = striped_images(320);
  RunConfig other = small_config("fp16");
  other.lr *= 2;
  train_into(a.path(), small_config("fp32"), *data);
  train_into(b.path(), other, *data);
  const RunDifference difference = diff_runs(a.path(), b.path(), *data, 2);
  const Json json = diff_json(difference);
  bool lr = false, compute = false;
  for (const SettingDifference& each : difference.settings) {
    lr = lr || (each.key == "lr" && each.a == "0.05" && each.b == "0.1");
    compute = compute || (each.key == "policy.compute" && each.b == "\"fp16\"");
  }
  EXPECT_TRUE(lr);
  EXPECT_TRUE(compute);
  EXPECT_EQ(difference.first_other_loss, 1);  // fp16's own rounding
  EXPECT_FALSE(difference.ranges.empty());
  // Training at twice the rate has moved the weights apart; the policies alone do little.
  EXPECT_GT(difference.weights.front().relative, 0.01);
  EXPECT_LT(difference.operations.operations.front().output, 1e-3);
  EXPECT_EQ(difference.operations.headline(), "");
  EXPECT_EQ(json.at("lockstep").at("policies").as_array()[1].as_string(), "fp16");
}

TEST(RunDifference, RefusesRunsThatAreNotAlike) {
  const Scratch a, b, empty;
  RunConfig other = small_config("bf16");
  other.model = "cnn";
  small_config("bf16").save(a.path());
  other.save(b.path());
  const auto message = [&](const std::filesystem::path& one, const std::filesystem::path& two) {
    try {
      require_same_network(one, two);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(message(a.path(), b.path()).find("mlp on fashion-mnist and cnn on fashion-mnist"),
            std::string::npos);
  EXPECT_NE(message(a.path(), b.path()).find("two runs of the same task and model"),
            std::string::npos);
  EXPECT_NE(message(a.path(), empty.path()).find(empty.path().string()), std::string::npos);
  // A run that never got to weights.
  const auto data = striped_images(64);
  EXPECT_THROW(diff_runs(a.path(), a.path(), *data, 1), Error);
}

}  // namespace
}  // namespace halftone::tasks
