#include "halftone/base/file.h"
#include "halftone/base/log.h"
#include "halftone/tasks/pretrained.h"
#include "halftone/tasks/question_windows.h"
#include "halftone/tasks/saved_run.h"
#include "halftone/tasks/span_learner.h"
#include "halftone/tasks/train_run.h"
#include "tests/support/scratch.h"
#include "tests/tasks/pretrained_fixture.h"
#include "tests/tasks/task_rig.h"

namespace halftone::tasks {
namespace {

Json squad_answer(const std::string& text, std::int64_t begin) {
  Json answer;
  answer["text"] = text;
  answer["answer_start"] = begin;
  return answer;
}

// One question for each of the people: where does who live?
Json squad_paragraph(const std::string& context, const std::vector<std::string>& people) {
  Json paragraph;
  paragraph["context"] = context;
  paragraph["qas"] = Json::array();
  for (const std::string& person : people) {
    Json question;
    question["id"] = person;
    question["question"] = "where is " + person + "?";
    const auto sentence = context.find(person);
    const auto begin = context.find(" in ", sentence) + 4, end = context.find('.', begin);
    question["answers"] = Json::array();
    question["answers"].push_back(
        squad_answer(context.substr(begin, end - begin), static_cast<std::int64_t>(begin)));
    paragraph["qas"].push_back(std::move(question));
  }
  return paragraph;
}

// "very very tom lives in paris.", in all combinations.
struct People {
  People() {
    Json train = Json::array(), dev = Json::array();
    int number = 0;
    for (const char* before : {"", "very very ", "very very very very very "}) {
      for (const char* person : {"tom", "kate"}) {
        for (const char* verb : {"lives", "is", "likes to end"}) {
          for (const char* city : {"paris", "rome", "oslo"}) {
            const auto context = std::string(before) + person + " " + verb + " in " + city + ".";
            (++number % 5 == 0 ? dev : train).push_back(squad_paragraph(context, {person}));
          }
        }
      }
    }
    write("train.json", train);
    write("dev.json", dev);
  }
  void write(const char* file, const Json& paragraphs) const {
    Json article, document;
    article["paragraphs"] = paragraphs;
    document["data"] = Json::array();
    document["data"].push_back(std::move(article));
    write_file(scratch / file, document.dump());
  }
  std::shared_ptr<const TaskData> open() const { return find_task("squad").open(scratch.path()); }
  Scratch scratch;
};

RunConfig squad_run(const TinyBert& bert, const char* preset) {
  RunConfig config = task_config("squad", preset);
  config.pretrained = bert.path();
  config.batch = 40;
  config.lr = 3e-3;
  return config;
}

TEST(SquadTask, LearnsInEveryPrecision) {
  const People people;
  const TinyBert bert;
  for (const char* preset : {"fp32", "bf16", "fp16-master"}) {
    expect_learns(squad_run(bert, preset), *people.open(), 0.8);
  }
}

TEST(SquadTask, InterruptedRunsResumeToTheSameBits) {
  const People people;
  const TinyBert bert;
  expect_same_when_resumed(squad_run(bert, "fp16-master"), *people.open());
}

TEST(SquadTask, LossReadsHalfLogits) {
  const People people;
  const TinyBert bert;
  expect_loss_of_half_logits(squad_run(bert, "bf16"), *people.open());
}

TEST(SquadTask, SavedRunAnswersATypedQuestionAboutATypedText) {
  const Scratch out;
  const People people;
  {
    const TinyBert bert;
    RunConfig config = squad_run(bert, "bf16");
    config.steps = 40;
    train_run(config, *people.open(), {.out = out.path(), .callbacks = {}});
  }
  SavedRun run = load_run(out.path());
  EXPECT_GT(evaluate_run(run, *people.open(), 4).evaluation.metric("f1"), 0.9);
  // In a text of several windows, at the place that counts characters.
  std::string text = "caf\xC3\xA9 ";
  for (int i = 0; i < 2 * kTinyPositions; ++i) text += "very ";
  const auto place = static_cast<std::int64_t>(text.size()) - 1 + 13;
  const Answers answers = predict(run, {"Where is Tom?", text + "Tom lives in Paris."}, {});
  const Json& one = answers.json.as_array()[0];
  EXPECT_EQ(one.at("answer").as_string(), "Paris");
  EXPECT_EQ(one.at("begin").as_int(), place);
  EXPECT_EQ(one.at("end").as_int(), place + 5);
  EXPECT_NE(answers.text.find("Where is Tom?\n  Paris ("), std::string::npos) << answers.text;

  EXPECT_ERROR(predict(run, {"where is tom?"}, {}), "predict: 1 inputs; expected a question and");
  EXPECT_ERROR(predict(run, {"where is tom?", " "}, {}), "an empty text");
  EXPECT_ERROR(predict(run, {"", "tom lives in oslo."}, {}), "an empty text");
  EXPECT_ERROR(predict(run, {"where is tom?", "caf\xE9"}, {}), "byte 0xE9 at offset 3");
  EXPECT_ERROR(predict(run, {text, "tom lives in oslo."}, {}), "a question of more than 10 tokens");
}

std::vector<std::string> squad_warnings;

TEST(SquadTask, ParagraphsThatAreEvaluatedAreNotLearnedAndTheRestIsCounted) {
  const People people;
  const TinyBert bert;
  Json both = Json::array(), misplaced = squad_paragraph("tom lives in rome. oslo.", {"tom"});
  misplaced["qas"] = Json::parse(
      R"([{"id":"1","question":"where?","answers":[{"text":"oslo","answer_start":3}]}])");
  both.push_back(squad_paragraph("kate lives in oslo. and tom.", {"kate"}));
  people.write("dev.json", both);
  both.push_back(misplaced);
  both.push_back(squad_paragraph("kate is in paris.", {"kate"}));
  people.write("train.json", both);
  squad_warnings.clear();
  const LogSink before = set_log_sink([](auto, auto text) { squad_warnings.emplace_back(text); });
  const auto data = people.open();
  const auto learner = make_learner(squad_run(bert, "fp32"), pretrained_assets(bert.path()));
  RunConfig config = squad_run(bert, "fp32");
  config.batch = 1;
  EXPECT_EQ(data->train(config, *learner)->batches(), 1);
  set_log_sink(before);
  ASSERT_EQ(squad_warnings.size(), 3u);
  EXPECT_NE(squad_warnings[0].find("train.json: 1 answers are not in their text"),
            std::string::npos);
  EXPECT_NE(squad_warnings[1].find("train.json: paragraphs left out of training: 1, found in "),
            std::string::npos);
  EXPECT_NE(squad_warnings[2].find("train.json: questions left out: 1, of more than"),
            std::string::npos);
}

TEST(QuestionWindows, EveryPieceIsInAWindowAndAnAnswerIsWholeInOne) {
  const TinyBert bert;
  const auto tokenizer = word_piece_tokenizer(pretrained_assets(bert.path()));
  std::string context;
  for (int i = 0; i < 40; ++i) context += i == 25 ? "tom and kate " : "very ";
  const auto begin = static_cast<std::int64_t>(context.find("tom"));
  QuestionWindows windows(tokenizer, 20);
  EXPECT_EQ(windows.add({context, {{"1", "who?", {{"tom and kate", begin}}}}}, true, "text"), 0);
  const auto batches = windows.batches();
  std::int64_t whole = 0;
  for (std::int64_t i = 0; i < batches->size(); ++i) {
    const auto batch = batches->build(std::vector<std::int64_t>{i}, 0, 0);
    EXPECT_LE(batch.input.size(1), 20);
    const auto first = batch.target[0][0].item<std::int64_t>();
    if (first == 0) continue;
    ++whole;
    const auto place = windows.characters(i, first, batch.target[0][1].item<std::int64_t>());
    EXPECT_EQ(windows.text(windows.question_of(i), place), "tom and kate");
  }
  EXPECT_GE(whole, 1);
  EXPECT_EQ(windows.characters(batches->size() - 1, 4, 4).end <=
                static_cast<std::int64_t>(context.size()),
            true);
}

TEST(BestSpans, AreInTheTextInOrderAndNotTooLong) {
  at::Tensor logits = torch::zeros({1, 8, 2});
  logits[0][1][0] = 9;  // not in the text
  logits[0][3][0] = 5;
  logits[0][6][0] = 4;
  logits[0][2][1] = 6;  // before the first
  logits[0][6][1] = 3;
  const auto text = torch::arange(8).ge(2).logical_and(torch::arange(8).lt(7)).unsqueeze(0);
  const auto longer = best_spans(logits, text, {41}, 4)[0];
  EXPECT_EQ(std::pair(longer.first, longer.last), std::pair(std::int64_t{3}, std::int64_t{6}));
  EXPECT_EQ(longer.score, 8);
  EXPECT_EQ(longer.window, 41);
  const auto shorter = best_spans(logits, text, {41}, 3)[0];
  EXPECT_EQ(std::pair(shorter.first, shorter.last), std::pair(std::int64_t{6}, std::int64_t{6}));
  const auto nan = best_spans(logits * std::nan(""), text, {41}, 3)[0];
  EXPECT_EQ(nan.first, 2);  // one of the text's, whatever
}

}  // namespace
}  // namespace halftone::tasks
