// Words, exact match and F1 of answers against SQuAD's script (tests/goldens/answers.py).
#include "halftone/data/codec/answer_words.h"

#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "halftone/base/text.h"
#include "halftone/metrics/answer_scores.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

TEST(AnswerWords, ExactMatchAndF1AreThoseOfTheOfficialScript) {
  const Json golden = Json::parse(read_file(HALFTONE_SOURCE_DIR "/tests/goldens/answers.json"));
  metrics::AnswerScores all;
  double exact = 0, f1 = 0;
  for (const Json& one : golden.as_array()) {
    SCOPED_TRACE(one.dump());
    std::vector<std::string> expected;
    for (const Json& word : one.at("words").as_array()) expected.push_back(word.as_string());
    const auto words = answer_words(one.at("given").as_string());
    EXPECT_EQ(join(words, "|"), join(expected, "|"));
    std::vector<metrics::AnswerScores::Words> right;
    for (const Json& answer : one.at("right").as_array()) {
      right.push_back(answer_words(answer.as_string()));
    }
    metrics::AnswerScores single;
    single.add(words, right);
    EXPECT_EQ(single.exact_match(), one.at("exact").as_double());
    EXPECT_DOUBLE_EQ(single.f1(), one.at("f1").as_double());
    all.add(words, right);
    exact += one.at("exact").as_double();
    f1 += one.at("f1").as_double();
  }
  const auto count = static_cast<double>(golden.as_array().size());
  EXPECT_DOUBLE_EQ(all.exact_match(), exact / count);
  EXPECT_DOUBLE_EQ(all.f1(), f1 / count);
}

TEST(AnswerWords, BytesThatAreNoUtf8AreAnError) {
  EXPECT_ERROR(answer_words("caf\xE9"), "byte 0xE9 at offset 3");
}

}  // namespace
}  // namespace halftone::data
