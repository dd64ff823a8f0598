// BLEU against sacrebleu's (tests/goldens/bleu.py).
#include "halftone/metrics/bleu.h"

#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "tests/support/test.h"

namespace halftone::metrics {
namespace {

// The same sums of integers, then some twenty operations in fp64 on numbers up to 100.
constexpr double kScore = 1e-10;

Json bleu_golden() {
  return Json::parse(read_file(HALFTONE_SOURCE_DIR "/tests/goldens/bleu.json"), "bleu.json");
}

TEST(BleuGoldens, TokensAreThoseOf13a) {
  const Json golden = bleu_golden();
  for (const Json& each : golden.at("tokens").as_array()) {
    const std::string& text = each.at("text").as_string();
    std::vector<std::string> expected;
    for (const Json& token : each.at("tokens").as_array()) expected.push_back(token.as_string());
    EXPECT_EQ(tokens_13a(text), expected) << text;
  }
}

TEST(BleuGoldens, ScoresAreSacrebleus) {
  const Json golden = bleu_golden();
  for (const Json& corpus : golden.at("corpora").as_array()) {
    const auto& hypotheses = corpus.at("hypotheses").as_array();
    const auto& references = corpus.at("references").as_array();
    Bleu bleu;
    for (std::size_t i = 0; i < hypotheses.size(); ++i) {
      bleu.add(hypotheses[i].as_string(), references[i].as_string());
    }
    EXPECT_NEAR(bleu.score(), corpus.at("score").as_double(), kScore) << corpus.dump();
    EXPECT_NEAR(bleu.brevity_penalty(), corpus.at("brevity_penalty").as_double(), kScore);
  }
}

}  // namespace
}  // namespace halftone::metrics
