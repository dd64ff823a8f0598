#include "halftone/base/text.h"

#include <bit>
#include <clocale>
#include <cmath>
#include <limits>
#include <random>

#include "tests/support/test.h"

namespace halftone {
namespace {

TEST(Glob, StarsTakeAnyRunAndQuestionMarksOneCharacter) {
  EXPECT_TRUE(glob_match("layer1.*.weight", "layer1.0.conv1.weight"));
  EXPECT_TRUE(glob_match("layer?.0", "layer3.0"));
  EXPECT_TRUE(glob_match("*", ""));
  EXPECT_TRUE(glob_match("a**b*", "ab"));
  EXPECT_TRUE(glob_match("*.bias", "fc.bias"));
  EXPECT_FALSE(glob_match("fc", "fc.weight"));
  EXPECT_FALSE(glob_match("layer?", "layer"));
  EXPECT_FALSE(glob_match("", "a"));
  EXPECT_FALSE(glob_match("a*b", "abc"));
}

// The definition, as a recursion.
bool slow_match(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    return slow_match(pattern.substr(1), text) ||
           (!text.empty() && slow_match(pattern, text.substr(1)));
  }
  return !text.empty() && (pattern[0] == '?' || pattern[0] == text[0]) &&
         slow_match(pattern.substr(1), text.substr(1));
}

TEST(Glob, AgreesWithItsRecursiveDefinition) {
  std::mt19937 random(3);
  const auto draw = [&](std::string_view letters) {
    std::string text(random() % 8, ' ');
    for (char& c : text) c = letters[random() % letters.size()];
    return text;
  };
  int matched = 0;
  for (int i = 0; i < 50'000; ++i) {
    const std::string pattern = draw("ab.*?"), text = draw("ab.");
    matched += glob_match(pattern, text);
    ASSERT_EQ(glob_match(pattern, text), slow_match(pattern, text)) << pattern << " on " << text;
  }
  EXPECT_GT(matched, 1000);
}

TEST(Glob, ManyStarsOnALongTextTakeNoExponentialTime) {
  std::string pattern;
  for (int i = 0; i < 30; ++i) pattern += "*a";
  EXPECT_FALSE(glob_match(pattern + "b", std::string(5000, 'a')));
}

TEST(Glob, AnyOfAListMatches) {
  EXPECT_TRUE(glob_match_any("exp *softmax* log", "_log_softmax"));
  EXPECT_TRUE(glob_match_any("exp *softmax* log", "log"));
  EXPECT_TRUE(!glob_match_any("exp *softmax* log", "log2"));
  EXPECT_TRUE(!glob_match_any("exp", "log"));
}

TEST(NearestName, FindsTheTypingErrorAndStaysSilentFarOff) {
  const std::vector<std::string> formats{"fp64", "fp32", "fp16", "bf16"};
  EXPECT_EQ(nearest_name("bf61", formats), "bf16");
  EXPECT_EQ(nearest_name("FP16", formats), "fp16");
  EXPECT_EQ(nearest_name("fp23", formats), "fp32");
  EXPECT_EQ(nearest_name("quaternion", formats), "");
  EXPECT_EQ(nearest_name("", formats), "");
  EXPECT_EQ(nearest_name("grwoth_interval", {"growth_factor", "growth_interval"}),
            "growth_interval");
}

TEST(Choices, ListsThemAndNamesTheNearest) {
  EXPECT_EQ(choices("bf61", {"fp16", "bf16"}), "fp16 or bf16 (did you mean \"bf16\"?)");
  EXPECT_EQ(choices("quaternion", {"a", "b", "c"}), "a, b or c");
}

TEST(Quoted, KeepsAnErrorOnOneLine) {
  EXPECT_EQ(quote("a\nb\"\x01"), "\"a\\nb\\\"\\x01\"");
  EXPECT_LT(quote(std::string(1000, 'x')).size(), 100u);
}

TEST(Numbers, EveryDoubleReadsBackTheSame) {
  std::mt19937_64 random(11);
  for (int i = 0; i < 100'000; ++i) {
    const double value = std::bit_cast<double>(random());
    const auto back = parse_double(format_number(value));
    ASSERT_TRUE(back.has_value()) << format_number(value);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(*back));
    } else {
      EXPECT_EQ(std::bit_cast<std::uint64_t>(*back), std::bit_cast<std::uint64_t>(value));
    }
  }
  EXPECT_EQ(format_number(65536), "65536");
  EXPECT_EQ(format_number(0.1), "0.1");
  EXPECT_EQ(format_number(-INFINITY), "-inf");
}

TEST(Join, NamesAllOrTheFirstFewAndHowManyThereAre) {
  EXPECT_EQ(join({}), "");
  EXPECT_EQ(join({"a", "b", "c"}, " or "), "a or b or c");
  EXPECT_EQ(join_few({"a", "b", "c"}, 3), "a, b, c");
  EXPECT_EQ(join_few({"a", "b", "c", "d"}, 3), "a, b, c, … (4)");
}

TEST(Numbers, OnlyAWholeNumberIsOne) {
  EXPECT_EQ(parse_double("+1.5e3"), 1500.0);
  EXPECT_EQ(parse_double("-inf"), -INFINITY);
  for (const char* text : {"", "+", "-", " 1", "1 ", "1,5", "0x10", "1e", "infinity", "INF",
                           "nan(1)", "1e999", "+-1", "--1", "1_000"}) {
    EXPECT_FALSE(parse_double(text).has_value()) << text;
  }
  EXPECT_EQ(parse_int("-42"), -42);
  EXPECT_EQ(parse_int("9223372036854775807"), std::numeric_limits<std::int64_t>::max());
  for (const char* text : {"", "1.0", "1e3", "9223372036854775808", "0x1", " 1", "12a"}) {
    EXPECT_FALSE(parse_int(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace halftone
