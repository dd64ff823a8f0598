#include "halftone/data/sets/squad.h"

#include "halftone/base/log.h"
#include "tests/data/sets/fixtures.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

std::string squad_json(const std::string& context, const std::string& qas) {
  return R"({"version":"1.1","data":[{"title":"t","paragraphs":[{"context":")" + context +
         R"(","qas":[)" + qas + "]}]}]}";
}

std::string qa(const std::string& question, const std::string& answers) {
  return R"({"id":"7","question":")" + question + R"(","answers":[)" + answers + "]}";
}

std::string squad_warning;

std::vector<SquadParagraph> read_squad(const std::string& content) {
  const Scratch scratch;
  write_file(scratch / "dev.json", content);
  squad_warning.clear();
  const LogSink before =
      set_log_sink([](std::string_view, std::string_view line) { squad_warning = line; });
  try {
    auto paragraphs = squad_paragraphs(scratch / "dev.json");
    set_log_sink(before);
    return paragraphs;
  } catch (...) {
    set_log_sink(before);
    throw;
  }
}

TEST(Squad, PlacesCountCharactersAndNotBytes) {
  const auto paragraphs = read_squad(
      squad_json("Émile né à Zürich", qa("Where?", R"({"text":"Zürich","answer_start":11},
                                           {"text":"né","answer_start":6,"more":1})")));
  ASSERT_EQ(paragraphs.size(), 1u);
  const auto& question = paragraphs[0].questions.at(0);
  EXPECT_EQ(question.id, "7");
  EXPECT_EQ(question.text, "Where?");
  EXPECT_EQ(question.answers[0].begin, 11);
  EXPECT_EQ(question.answers[1].begin, 6);
  EXPECT_EQ(squad_warning, "");
}

TEST(Squad, AnswersThatAreNotInTheTextAndQuestionsWithoutOneAreCounted) {
  const auto paragraphs = read_squad(squad_json(
      "Tom lives in Oslo", qa("Who?", R"({"text":"Tom","answer_start":1})") + "," +
                               qa("Where?", R"({"text":"Paris","answer_start":13})") + "," +
                               qa("When?", R"({"text":"Oslo","answer_start":99})") + "," +
                               qa("Why?", "")));
  ASSERT_EQ(paragraphs[0].questions.size(), 3u);
  for (const auto& question : paragraphs[0].questions) EXPECT_EQ(question.answers[0].begin, -1);
  EXPECT_NE(squad_warning.find("dev.json: 1 questions without an answer are left out, 3 answers "
                               "are not in their text at answer_start"),
            std::string::npos)
      << squad_warning;
}

TEST(Squad, WhatIsWrongIsAnErrorWithThePlaceInTheFile) {
  const std::string right = R"({"text":"Tom","answer_start":0})";
  EXPECT_ERROR(read_squad("{}"), "dev.json: no \"data\"; expected SQuAD's format");
  EXPECT_ERROR(read_squad(R"({"data":[{"title":""}]})"), "data[0]: no \"paragraphs\"");
  EXPECT_ERROR(read_squad(squad_json("Tom", R"({"id":"7","question":"Who?"})")),
               "data[0].paragraphs[0].qas[0]: no \"answers\"");
  EXPECT_ERROR(read_squad(squad_json("Tom", qa("Who?", R"({"text":"Tom"})"))),
               "qas[0].answers[0]: no \"answer_start\"");
  EXPECT_ERROR(read_squad(squad_json("Tom", qa("Who?", R"({"text":"Tom","answer_start":"0"})"))),
               "answers[0].answer_start: no whole number");
  EXPECT_ERROR(read_squad(squad_json("Tom", qa(" ", right))), "qas[0].question: an empty text");
  EXPECT_ERROR(read_squad(squad_json("", qa("Who?", right))), "context: an empty text");
  EXPECT_ERROR(read_squad(squad_json("Tom", qa("Who?", ""))), "no question with an answer");
  EXPECT_ERROR(read_squad(squad_json("T\xFFm", qa("Who?", right))),
               "dev.json: byte 0xFF at offset");
  EXPECT_ERROR(read_squad(squad_json("Tom", "").substr(0, 40)), "dev.json");
}

}  // namespace
}  // namespace halftone::data
