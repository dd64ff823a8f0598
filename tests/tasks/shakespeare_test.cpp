#include <cmath>

#include "halftone/base/file.h"
#include "halftone/data/utf8.h"
#include "halftone/tasks/language_learner.h"
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
  std::shared_ptr<const TaskData> open(const char* task = "shakespeare") const {
    return find_task(task).open(scratch.path());
  }
  Scratch scratch;
};

TEST(ShakespeareTask, LearnsInEveryPrecision) {
  const Play play;
  for (const char* preset : {"fp32", "bf16", "fp16-master"}) {
    expect_learns(task_config("shakespeare", preset, "gpt-small"), *play.open(), 0.7);
  }
}

TEST(ShakespeareTask, LossReadsHalfLogits) {
  const Play play;
  for (const char* preset : {"bf16", "fp16-master"}) {
    expect_loss_of_half_logits(task_config("shakespeare", preset, "gpt-small"), *play.open());
  }
}

// Under the scaler, over micro-batches: the same run bit for bit, with less memory.
TEST(ShakespeareTask, RecomputedRunIsTheSame) {
  const Play play;
  const OverrideTest on;
  std::string weights[2];
  for (const bool recompute : {false, true}) {
    const Scratch out;
    RunConfig config = task_config("shakespeare", "fp16-master", "gpt-small");
    config.accumulate = 3;
    config.recompute = recompute;
    config.steps = 6;
    const TrainResult result =
        train_run(config, *play.open(), {.out = out.path(), .callbacks = {}});
    EXPECT_EQ(result.steps, 6);
    weights[recompute] = read_file(out / "weights.safetensors");
    EXPECT_EQ(RunConfig::load(out.path()), config);
  }
  EXPECT_TRUE(weights[0] == weights[1]);
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

TEST(ShakespeareBpeTask, LearnsNatsPerCharacterAndContinuesATextWithoutTheData) {
  const Scratch out;
  RunConfig config = task_config("shakespeare-bpe", "bf16", "gpt-small");
  config.batch = 2;
  config.steps = 60;
  std::string text;
  {
    const Play play;
    text = read_file(play.scratch / "input.txt");
    const auto data = play.open("shakespeare-bpe");
    Session session = make_session(config, *data);
    const Evaluation first = session.trainer->evaluate();
    // A piece stands for several characters, which share its nats.
    const auto& learner = dynamic_cast<LanguageLearner&>(*session.learner);
    const std::string held_out = text.substr(text.size() - text.size() / 10);
    const double ratio = static_cast<double>(learner.codec().encode(held_out, "text").size()) /
                         static_cast<double>(held_out.size());
    EXPECT_LT(ratio, 0.5);
    EXPECT_NEAR(first.metric("cross_entropy"), ratio * first.loss, 0.02 * first.loss);
    EXPECT_NEAR(first.metric("perplexity"), std::exp(first.loss), 1e-6 * std::exp(first.loss));
    const TrainResult result = train_run(config, *data, {.out = out.path(), .callbacks = {}});
    EXPECT_LT(result.last.metric("cross_entropy"), 0.5 * first.metric("cross_entropy"));
  }
  SavedRun run = load_run(out.path());
  const Answers answers = predict(run, {"TOM:\n"}, {.length = 40, .seed = 3});
  const std::string continuation = answers.json.as_array()[0].at("continuation").as_string();
  EXPECT_EQ(data::utf8_characters(continuation, "continuation").size(), 40u);
  EXPECT_EQ(answers.text, "TOM:\n" + continuation + "\n");
  EXPECT_ERROR(predict(run, {"a\n\xFF"}, {}), "byte 0xFF at offset 2");
}

TEST(TextCodec, TextComesBackByteForByte) {
  const std::string model = data::train_sentence_pieces(
      {"the rain is over", "the road is dry", "the rain"}, 300, "lines", data::PieceText::exact);
  const auto codec = piece_codec(data::SentencePieces(model, "model"));
  for (const std::string text : {"the rain\n", "\n\n", "", "the  road \n is\tdry\n\nover",
                                 "caf\xC3\xA9 \xE2\x82\xAC 5\nrain", " \n the"}) {
    EXPECT_EQ(codec->decode(codec->encode(text, "text")), text);
  }
  EXPECT_LT(codec->encode("the rain", "text").size(), 4u);
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
