// What language models read: UTF-8, vocabularies, windows of tokens.
#include <ATen/Functions.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "halftone/data/loader.h"
#include "halftone/data/token_windows.h"
#include "halftone/data/utf8.h"
#include "halftone/data/vocabulary.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

TEST(Utf8, TextIsCutIntoItsCodePoints) {
  const auto characters = utf8_characters("a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x8E\xAD\n", "text");
  EXPECT_EQ((std::vector<std::string>(characters.begin(), characters.end())),
            (std::vector<std::string>{"a", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x8E\xAD", "\n"}));
}

// Table 3-7's limits: overlong forms, surrogates, beyond U+10FFFF, stray and missing continuations.
TEST(Utf8, WhatIsMalformedIsAnErrorWithItsOffset) {
  for (const char* wrong : {"\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                            "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82", "\xC3(", "\xFF"}) {
    EXPECT_ERROR(utf8_characters(std::string("ab") + wrong, "play.txt"), "at offset 2");
  }
  EXPECT_ERROR(utf8_characters("\xFF", "play.txt"), "play.txt: byte 0xFF at offset 0");
  EXPECT_EQ(utf8_characters("\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF", "text").size(), 3u);
}

TEST(Vocabulary, ReadsBackWhatItWrites) {
  const Vocabulary vocabulary({"\n", "\"", "\xE2\x82\xAC", "word"});
  const Vocabulary again = Vocabulary::from_json(vocabulary.to_json(), "vocabulary.json");
  EXPECT_EQ(again.size(), 4);
  EXPECT_EQ(again.token(2), "\xE2\x82\xAC");
  EXPECT_EQ(again.number("word"), 3);
  EXPECT_FALSE(again.number("wor").has_value());
}

TEST(Vocabulary, DoubledTokensAndOtherJsonAreErrors) {
  EXPECT_ERROR(Vocabulary({"a", "b", "a"}, "v.json"), "v.json: \"a\" twice");
  EXPECT_ERROR(Vocabulary::from_json("{}", "v.json"), "array");
  EXPECT_ERROR(Vocabulary::from_json("[1]", "v.json"), "string");
}

at::Tensor tokens_up_to(int64_t size) { return at::arange(size, at::kLong); }

TEST(TokenWindows, InEvaluationEachTokenIsATargetOnce) {
  for (const int64_t size : {17, 18, 24, 25, 26}) {
    const TokenWindows windows(tokens_up_to(size), 8, false, "text");
    std::vector<int64_t> all(static_cast<size_t>(windows.size()));
    std::iota(all.begin(), all.end(), 0);
    const Batch batch = windows.build(all, 0, 0);
    std::multiset<int64_t> targets;
    for (int64_t i = 0; i < batch.target.numel(); ++i) {
      const int64_t target = batch.target.flatten()[i].item<int64_t>();
      if (target == kIgnoredTarget) continue;
      targets.insert(target);
      EXPECT_EQ(batch.input.flatten()[i].item<int64_t>(), target - 1);
    }
    EXPECT_EQ(targets.size(), static_cast<size_t>(size - 1)) << size;
    EXPECT_EQ(std::set<int64_t>(targets.begin(), targets.end()).size(), targets.size()) << size;
  }
}

TEST(TokenWindows, InTrainingEpochsBeginElsewhereBySeedAndStayWithinTheText) {
  const TokenWindows windows(tokens_up_to(100), 8, true, "text");
  EXPECT_EQ(windows.size(), 11);
  const std::vector<int64_t> first{0}, last{windows.size() - 1};
  std::set<int64_t> starts;
  for (int64_t epoch = 0; epoch < 40; ++epoch) {
    const Batch batch = windows.build(first, epoch, 3);
    const int64_t start = batch.input[0][0].item<int64_t>();
    EXPECT_LT(start, 8);
    starts.insert(start);
    EXPECT_TRUE(at::equal(batch.target, batch.input + 1));
    EXPECT_TRUE(at::equal(batch.input, windows.build(first, epoch, 3).input));
    EXPECT_EQ(windows.build(last, epoch, 3).input[0][0].item<int64_t>(), start + 80);
  }
  EXPECT_EQ(starts.size(), 8u);
}

TEST(TokenWindows, TextThatIsTooShortIsAnErrorThatNamesIt) {
  EXPECT_ERROR(TokenWindows(tokens_up_to(16), 8, true, "play.txt"),
               "play.txt: a text of 16 tokens; expected more than 16, two windows");
  EXPECT_ERROR(TokenWindows(at::zeros({40}), 8, true, "play.txt"), "Float of 1 dimensions");
}

}  // namespace
}  // namespace halftone::data
