// WordPiece against Hugging Face's tokenizers (tests/goldens/word_piece.py).
#include "halftone/data/codec/word_piece.h"

#include <cstdlib>

#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

std::vector<WordPiece> golden_pieces(const Json& tokens, const Json& places) {
  std::vector<WordPiece> pieces;
  for (const Json& token : tokens.as_array()) {
    const auto* place = &places.as_array()[2 * pieces.size()];
    pieces.push_back({token.as_int(), place[0].as_int(), place[1].as_int()});
  }
  return pieces;
}

std::string shown(const std::vector<WordPiece>& pieces) {
  std::string text;
  for (const WordPiece& piece : pieces) {
    text += std::to_string(piece.token) + "@" + std::to_string(piece.begin) + "-" +
            std::to_string(piece.end) + " ";
  }
  return text;
}

TEST(WordPiece, TokensAndPlacesAreThoseOfHuggingFace) {
  const Json golden = Json::parse(read_file(HALFTONE_SOURCE_DIR "/tests/goldens/word_piece.json"));
  for (const bool lower : {true, false}) {
    const auto vocabulary =
        Vocabulary::from_json(golden.at("vocabulary").dump(), "word_piece.json");
    const WordPieceTokenizer tokenizer(vocabulary, lower, "word_piece.json");
    for (const Json& one : golden.at("cases").as_array()) {
      if (one.at("lower").as_bool() != lower) continue;
      EXPECT_EQ(shown(tokenizer.pieces(one.at("text").as_string(), "text")),
                shown(golden_pieces(one.at("tokens"), one.at("places"))))
          << (lower ? "lower case: " : "cased: ") << one.at("text").dump();
    }
  }
}

// For tests/long/test_word_piece.py: a directory with vocab.txt and cases.json, [text, tokens,
// places] each.
TEST(WordPiece, LongComparison) {
  const char* given = std::getenv("HALFTONE_WORD_PIECE");
  if (!given) GTEST_SKIP() << "HALFTONE_WORD_PIECE is not set";
  const std::filesystem::path folder = given;
  const WordPieceTokenizer tokenizer(
      Vocabulary::from_lines(read_file(folder / "vocab.txt"), "vocab.txt"), true, "vocab.txt");
  const Json cases = Json::parse(read_file(folder / "cases.json"));
  std::size_t different = 0;
  for (const Json& one : cases.as_array()) {
    const auto& parts = one.as_array();
    const auto pieces = tokenizer.pieces(parts[0].as_string(), "text");
    const auto expected = golden_pieces(parts[1], parts[2]);
    if (pieces == expected || ++different > 20) continue;
    ADD_FAILURE() << parts[0].dump() << "\n" << shown(pieces) << "\n" << shown(expected);
  }
  EXPECT_EQ(different, 0u);
  std::printf("compared %zu texts\n", cases.as_array().size());
}

TEST(WordPiece, BadInputIsAnErrorThatNamesIt) {
  const Vocabulary vocabulary({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"});
  const WordPieceTokenizer tokenizer(vocabulary, true, "vocab.txt");
  EXPECT_ERROR(tokenizer.pieces("caf\xE9", "reviews.tsv:3"),
               "reviews.tsv:3: byte 0xE9 at offset 3; expected UTF-8");
  EXPECT_ERROR(WordPieceTokenizer(Vocabulary({"[PAD]", "[UNK]", "[CLS]"}), true, "vocab.txt"),
               "vocab.txt: no [SEP]; expected a vocabulary of BERT's");
  EXPECT_ERROR(Vocabulary::from_lines("a\nb\na\n", "vocab.txt"), "vocab.txt: \"a\" twice");
  EXPECT_EQ(Vocabulary::from_lines("a\r\nb", "vocab.txt").token(1), "b");
}

}  // namespace
}  // namespace halftone::data
