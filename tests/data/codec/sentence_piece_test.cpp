// Pieces learned from a few sentences, and what is no model.
#include "halftone/data/codec/sentence_piece.h"

#include <algorithm>

#include "tests/support/test.h"

namespace halftone::data {
namespace {

const std::vector<std::string_view> kSentences{
    "two dogs run through the snow", "zwei hunde rennen durch den schnee",
    "a man in a blue shirt is running", "ein mann in einem blauen hemd rennt"};

std::string small_model(std::int64_t vocabulary = 60) {
  return train_sentence_pieces(kSentences, vocabulary, "sentences");
}

TEST(SentencePieces, DecodeGivesBackWhatWasEncodedWithoutStartAndEnd) {
  const SentencePieces pieces(small_model(), "model");
  for (const std::string_view sentence : kSentences) {
    auto tokens = pieces.encode(sentence, "sentence");
    EXPECT_LT(tokens.size(), sentence.size());  // some are longer than a character
    EXPECT_EQ(pieces.decode(tokens), sentence);
    for (const std::int64_t token : tokens) {
      EXPECT_GT(token, 3);
      EXPECT_LT(token, pieces.size());
    }
    tokens.insert(tokens.begin(), pieces.start());
    tokens.insert(tokens.end(), {pieces.end(), pieces.padding()});
    EXPECT_EQ(pieces.decode(tokens), sentence);
  }
  EXPECT_EQ(pieces.encode(" \t ", "white"), std::vector<std::int64_t>{});
  EXPECT_EQ(pieces.decode({}), "");
}

TEST(SentencePieces, SpecialTokensComeFirstAndACharacterNeverSeenIsTheUnknown) {
  const SentencePieces pieces(small_model(), "model");
  EXPECT_EQ(pieces.padding(), 0);
  EXPECT_EQ(pieces.unknown(), 1);
  EXPECT_EQ(pieces.start(), 2);
  EXPECT_EQ(pieces.end(), 3);
  const auto tokens = pieces.encode("a man in \u96ea", "text");
  EXPECT_EQ(std::ranges::count(tokens, pieces.unknown()), 1);
}

TEST(SentencePieces, TheSameSentencesGiveTheSameBytesOfAtMostSoManyTokens) {
  EXPECT_EQ(small_model(), small_model());
  EXPECT_NE(small_model(), small_model(50));
  EXPECT_EQ(SentencePieces(small_model(50), "model").size(), 50);
  EXPECT_LT(SentencePieces(small_model(1000), "model").size(), 1000);  // no more to learn
}

TEST(SentencePieces, WhatIsNoModelOrNoTextIsAnErrorThatNamesIt) {
  EXPECT_ERROR(SentencePieces("no model at all", "some.model"),
               "some.model: no SentencePiece model");
  const std::string model = small_model();
  EXPECT_ERROR(SentencePieces(model.substr(0, model.size() / 2), "half.model"),
               "half.model: no SentencePiece model");
  EXPECT_ERROR(SentencePieces("", "empty.model"), "empty.model");
  EXPECT_ERROR(SentencePieces(model, "model").encode("ab\xff", "line 3"), "line 3");
  EXPECT_ERROR(train_sentence_pieces({}, 60, "train.de"), "train.de");
  EXPECT_ERROR(small_model(10), "sentences");
}

}  // namespace
}  // namespace halftone::data
