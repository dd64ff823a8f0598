#include <cmath>

#include "halftone/base/file.h"
#include "halftone/tasks/saved_run.h"
#include "halftone/tasks/train_run.h"
#include "tests/support/scratch.h"
#include "tests/tasks/task_rig.h"

namespace halftone::tasks {
namespace {

// A play of some kilobytes of few words.
std::string little_play() {
  std::string play;
  for (int i = 0; i < 120; ++i) {
    play += i % 2 ? "KATE:\n" : "TOM:\n";
    play += i % 3 ? "The rain is over, and the road is dry.\n\n"
                  : "Then let us go, my good friend.\n\n";
  }
  return play;
}

struct Play {
  Play() { write_file(scratch / "input.txt", little_play()); }
  std::shared_ptr<const TaskData> open() const {
    return find_task("shakespeare").open(scratch.path());
  }
  Scratch scratch;
};

TEST(ShakespeareTask, LearnsInEveryPrecision) {
  const Play play;
  for (const char* preset : {"fp32", "bf16", "fp16-master"}) {
    expect_learns(task_config("shakespeare", preset, "gpt-small"), *play.open(), 0.7);
  }
}

TEST(ShakespeareTask, EvaluationCountsEveryHeldOutCharacterAndPerplexityIsItsExponential) {
  const Play play;
  const auto data = play.open();
  Session session = make_session(task_config("shakespeare", "fp32", "gpt-small"), *data);
  const Evaluation all = session.trainer->evaluate();
  EXPECT_NEAR(all.metric("perplexity"), std::exp(all.metric("cross_entropy")), 1e-9);
  EXPECT_NEAR(all.metric("cross_entropy"), std::log(27.0), 0.15);  // 27 characters, untrained
  // In any batches the same mean, though the last window counts fewer characters.
  SavedRun run{task_config("shakespeare", "fp32", "gpt-small"), "", session.learner};
  for (const std::int64_t batch : {1, 5}) {
    EXPECT_NEAR(evaluate_run(run, *data, batch).evaluation.loss, all.loss, 1e-5) << batch;
  }
}

TEST(ShakespeareTask, SavedRunContinuesATextWithoutTheDataTheSameBySeed) {
  const Scratch out;
  RunConfig config = task_config("shakespeare", "bf16", "gpt-small");
  config.steps = 60;
  {
    const Play play;
    train_run(config, *play.open(), {.out = out.path(), .callbacks = {}});
  }
  SavedRun run = load_run(out.path());
  PredictOptions options{.length = 40, .seed = 3};
  const Answers answers = predict(run, {"TOM:\n"}, options);
  const std::string continuation = answers.json.as_array()[0].at("continuation").as_string();
  EXPECT_EQ(continuation.size(), 40u);
  EXPECT_EQ(answers.text, "TOM:\n" + continuation + "\n");
  EXPECT_EQ(predict(run, {"TOM:\n"}, options).text, answers.text);
  options.seed = 4;
  options.temperature = 2.0;
  EXPECT_NE(predict(run, {"TOM:\n"}, options).text, answers.text);
  // From one candidate there is nothing to draw; a text longer than the context is continued too.
  const std::string longer(200, 'o');
  options = {.top = 1, .length = 5, .seed = 1};
  const std::string likeliest = predict(run, {longer}, options).text;
  options.seed = 2;
  EXPECT_EQ(predict(run, {longer}, options).text, likeliest);
}

TEST(ShakespeareTask, BadTextsAndOptionsAreOneLineErrors) {
  const Play play;
  const Task& task = find_task("shakespeare");
  const Scratch scratch;
  EXPECT_ERROR(task.open(scratch.path()), "no tinyshakespeare.txt and no input.txt");
  EXPECT_ERROR(task.open(scratch / "absent.txt"), "absent.txt");
  write_file(scratch / "empty.txt", "");
  EXPECT_ERROR(task.open(scratch / "empty.txt"), "empty.txt: an empty text");
  write_file(scratch / "latin1.txt", "caf\xE9 au lait");
  EXPECT_ERROR(task.open(scratch / "latin1.txt"), "latin1.txt: byte 0xE9 at offset 3");
  write_file(scratch / "short.txt", "To be, or not to be");
  EXPECT_ERROR(make_session(task_config("shakespeare", "fp32", "gpt-small"),
                            *task.open(scratch / "short.txt")),
               "short.txt: a text of 17 tokens; expected more than 128");
  RunConfig config = task_config("shakespeare", "fp32", "gpt-small");
  config.batch = 1000;
  EXPECT_ERROR(make_session(config, *play.open()), "training sequences");

  config = task_config("shakespeare", "fp32", "gpt-small");
  SavedRun run{config, "", make_learner(config, play.open()->assets())};
  run.learner->module()->eval();
  EXPECT_ERROR(predict(run, {""}, {}), "an empty text");
  EXPECT_ERROR(predict(run, {"To: \xE2\x82\xAC"}, {}), "which the training text does not have");
  EXPECT_ERROR(predict(run, {"\xFF"}, {}), "byte 0xFF at offset 0");
}

}  // namespace
}  // namespace halftone::tasks
