#include "halftone/base/file.h"
#include "halftone/tasks/saved_run.h"
#include "halftone/tasks/train_run.h"
#include "tests/support/scratch.h"
#include "tests/tasks/task_rig.h"

namespace halftone::tasks {
namespace {

// Sentences of 5 to 10 words of which one tells the class.
struct Reviews {
  Reviews() {
    const char* good[] = {"moving", "funny", "brilliant"};
    const char* bad[] = {"dull", "boring", "awful"};
    for (const auto& [file, count] : {std::pair("train.tsv", 160), {"test.tsv", 40}}) {
      std::string lines;
      for (int i = 0; i < count; ++i) {
        const bool positive = i % 2;
        lines += "the film is ";
        for (int k = 0; k < i % 6; ++k) lines += "very ";
        lines += std::string((positive ? good : bad)[i / 2 % 3]) + " indeed\t" +
                 (positive ? "1\n" : "0\n");
      }
      write_file(scratch / file, lines);
    }
  }
  std::shared_ptr<const TaskData> open() const { return find_task("sst2").open(scratch.path()); }
  Scratch scratch;
};

TEST(Sst2Task, LearnsInEveryPrecision) {
  const Reviews reviews;
  for (const char* preset : {"fp32", "bf16", "fp16", "bf16-master", "fp16-master"}) {
    RunConfig config = task_config("sst2", preset);
    config.batch = 20;
    config.lr = 3e-3;
    expect_learns(config, *reviews.open(), 0.8);
  }
}

TEST(Sst2Task, SavedRunJudgesSentencesWithoutTheData) {
  const Scratch out;
  const Reviews reviews;
  RunConfig config = task_config("sst2", "bf16");
  config.batch = 20;
  config.lr = 3e-3;
  config.steps = 60;
  train_run(config, *reviews.open(), {.out = out.path(), .callbacks = {}});
  SavedRun run = load_run(out.path());
  const Answers answers = predict(run, {"The film is brilliant", "boring from start to end"}, {});
  const auto& all = answers.json.as_array();
  EXPECT_EQ(all[0].at("class").as_string(), "positive");
  EXPECT_EQ(all[1].at("class").as_string(), "negative");
  EXPECT_NE(answers.text.find("boring from start to end"), std::string::npos);
  // The same beside longer sentences and alone, up to the half format's rounding: padding is
  // absent.
  EXPECT_NEAR(
      predict(run, {"The film is brilliant"}, {}).json.as_array()[0].at("probability").as_double(),
      all[0].at("probability").as_double(), 0.01);
  EXPECT_ERROR(predict(run, {"  "}, {}), "a text without a word");
  EXPECT_ERROR(predict(run, {"caf\xE9"}, {}), "byte 0xE9 at offset 3");

  const EvaluationReport report = evaluate_run(run, *reviews.open(), 7);
  EXPECT_EQ(report.evaluation.samples, 40);
  EXPECT_GT(report.evaluation.metric("accuracy"), 0.9);
  EXPECT_GT(metrics::value_of(report.details.metrics, "roc_auc"), 0.95);
  EXPECT_GT(metrics::value_of(report.details.metrics, "pr_auc"), 0.95);
}

}  // namespace
}  // namespace halftone::tasks
