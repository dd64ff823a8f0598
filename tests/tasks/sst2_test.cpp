#include <algorithm>

#include "halftone/base/file.h"
#include "halftone/base/log.h"
#include "halftone/tasks/advice_cache.h"
#include "halftone/tasks/advise.h"
#include "halftone/tasks/saved_run.h"
#include "halftone/tasks/train_run.h"
#include "tests/support/scratch.h"
#include "tests/tasks/pretrained_fixture.h"
#include "tests/tasks/task_rig.h"

namespace halftone::tasks {
namespace {

// Sentences of 5 to 10 words of which one tells the class.
struct Reviews {
  Reviews() {
    const char* good[] = {"moving", "funny", "brilliant"};
    const char* bad[] = {"dull", "boring", "awful"};
    for (const auto& [file, count] :
         {std::pair("train.tsv", 160), {"dev.tsv", 30}, {"test.tsv", 40}}) {
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

TEST(Sst2Task, NetworkWithoutBlocksCannotBeRecomputed) {
  const Reviews reviews;
  RunConfig config = task_config("sst2", "fp32", "textcnn");
  config.recompute = true;
  EXPECT_ERROR(make_session(config, *reviews.open()),
               "--recompute for sst2 with --model textcnn; expected a network of blocks");
}

TEST(Sst2Task, LossReadsHalfLogits) {
  const Reviews reviews;
  expect_loss_of_half_logits(task_config("sst2", "bf16"), *reviews.open());
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

RunConfig encoder_run(const TinyBert& bert, const char* preset) {
  RunConfig config = task_config("sst2", preset, "encoder");
  config.pretrained = bert.path();
  config.batch = 40;
  config.lr = 3e-3;
  return config;
}

TEST(Sst2Task, EncoderLearnsInEveryPrecision) {
  const Reviews reviews;
  const TinyBert bert;
  for (const char* preset : {"fp32", "bf16", "fp16-master"}) {
    expect_learns(encoder_run(bert, preset), *reviews.open(), 0.8);
  }
}

TEST(Sst2Task, SavedEncoderNeedsNeitherTheDataNorTheFolder) {
  const Scratch out;
  const Reviews reviews;
  {
    const TinyBert bert;
    RunConfig config = encoder_run(bert, "bf16");
    config.steps = 40;
    train_run(config, *reviews.open(), {.out = out.path(), .callbacks = {}});
  }
  SavedRun run = load_run(out.path());
  const Answers answers = predict(
      run, {"The FILM is very very very very very brilliant indeed", "the film is dull indeed"},
      {});
  EXPECT_EQ(answers.json.as_array()[0].at("class").as_string(), "positive");
  EXPECT_EQ(answers.json.as_array()[1].at("class").as_string(), "negative");
  EXPECT_ERROR(predict(run, {"caf\xE9"}, {}), "byte 0xE9 at offset 3");
  EXPECT_ERROR(predict(run, {" \t"}, {}), "a text without a word");
  std::string longest;
  for (int i = 0; i < kTinyPositions - 2; ++i) longest += "very ";
  EXPECT_EQ(predict(run, {longest}, {}).json.as_array().size(), 1u);
  EXPECT_ERROR(predict(run, {longest + "dull"}, {}), "a text of more than 32 tokens");
}

// The weights start from the folder's, whatever the policy stores them in, rounded once.
TEST(Sst2Task, EncoderStartsFromTheFolder) {
  const Reviews reviews;
  const TinyBert bert;
  for (const char* preset : {"fp32", "bf16-master"}) {
    const Session session = make_session(encoder_run(bert, preset), *reviews.open());
    const auto weight =
        session.learner->module()->named_parameters()["bert.encoder.layer.1.output.dense.weight"];
    const NamedTensors all = tiny_weights();
    const std::map<std::string, at::Tensor> expected(all.begin(), all.end());
    EXPECT_TRUE(at::equal(
        weight, expected.at("encoder.layer.1.output.dense.weight").to(weight.scalar_type())));
  }
}

TEST(Sst2Task, EncoderOfTheFolderIsAdvised) {
  const Reviews reviews;
  const TinyBert bert;
  const RunConfig config = encoder_run(bert, "fp32");
  const auto data = reviews.open();
  EXPECT_NE(advice_key(config, *data).find("model encoder\n"), std::string::npos);
  const TaskAdvice advice = advise(config, *data, {.formats = {Format::bf16}});
  const auto of_folder = [](const numerics::OperationCosts& costs) {
    return costs.operation.name().starts_with("bert.encoder.layer.1.");
  };
  EXPECT_TRUE(std::any_of(advice.costs.begin(), advice.costs.end(), of_folder));
}

TEST(Sst2Task, ChoosesByDevAndIsJudgedByTest) {
  const Reviews reviews;
  Session session = make_session(task_config("sst2", "fp32"), *reviews.open());
  EXPECT_EQ(session.trainer->evaluate().samples, 30);
  SavedRun run{task_config("sst2", "fp32"), "", session.learner};
  EXPECT_EQ(evaluate_run(run, *reviews.open(), 16).evaluation.samples, 40);
}

std::string last_warning;

TEST(Sst2Task, SentencesThatAreTooLongAreCutAndCounted) {
  const Reviews reviews;
  const TinyBert bert;
  std::string line = read_file(reviews.scratch / "dev.tsv");
  for (int i = 0; i < kTinyPositions; ++i) line += "very ";
  write_file(reviews.scratch / "dev.tsv", line + "dull\t0\n");
  const LogSink before = set_log_sink([](auto, auto text) { last_warning = text; });
  Session session = make_session(encoder_run(bert, "fp32"), *reviews.open());
  set_log_sink(before);
  EXPECT_NE(last_warning.find("dev.tsv: 1 sentence is cut to the 32 tokens that the network takes"),
            std::string::npos)
      << last_warning;
  EXPECT_EQ(session.trainer->evaluate().samples, 31);
}

}  // namespace
}  // namespace halftone::tasks
