#include "halftone/base/json.h"

#include <cmath>
#include <limits>

#include "tests/support/test.h"

namespace halftone {
namespace {

TEST(Json, PrintsAndReadsBackTheSame) {
  Json value;
  value["text"] = "a \"quoted\" \\ line\nand \x01 tab\t";
  value["whole"] = std::int64_t{-9007199254740993};
  value["number"] = 0.1;
  value["large"] = 1e300;
  value["round"] = 2.0;
  value["flags"] = Json::Array{true, false, nullptr};
  value["empty"] = Json::object();
  value["none"] = Json::array();
  EXPECT_TRUE(Json::parse(value.dump()) == value) << value.dump();
  EXPECT_TRUE(Json::parse(value.dump(2)) == value) << value.dump(2);
}

TEST(Json, KeepsTheOrderOfKeys) {
  Json value;
  value["z"] = 1;
  value["a"] = "x";
  value["z"] = 2;
  EXPECT_EQ(value.dump(), "{\"z\": 2, \"a\": \"x\"}");
  EXPECT_EQ(Json::parse("[1,[2.5]]").dump(2), "[\n  1,\n  [\n    2.5\n  ]\n]");
}

TEST(Json, NumbersThatJsonCannotHoldPrintAsNull) {
  EXPECT_EQ(Json(std::nan("")).dump(), "null");
  EXPECT_EQ(Json(std::numeric_limits<double>::infinity()).dump(), "null");
}

TEST(Json, ReadsEscapesAndSurrogatePairs) {
  EXPECT_EQ(Json::parse(R"("\u0041\u00e9\u20ac\ud83d\ude00\/\b")").as_string(),
            "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80/\b");
}

TEST(Json, ErrorNamesTheOffsetTheGivenAndTheExpected) {
  EXPECT_ERROR(Json::parse("{\"a\": 1,}", "x.json"),
               "x.json, offset 8: '}'; expected a key in quotes");
  EXPECT_ERROR(Json::parse("[1 2]"), "offset 3: '2'; expected ',' or ']'");
  EXPECT_ERROR(Json::parse(""), "offset 0: the end; expected a value");
  EXPECT_ERROR(Json::parse("{\"a\": 1, \"a\": 2}"), "\"a\" is there twice");
  EXPECT_ERROR(Json::parse("[1] x"), "expected the end");
  EXPECT_ERROR(Json::parse("\"ab"), "offset 3: the end");
  EXPECT_ERROR(Json::parse("\"\\ud800\""), "a surrogate pair");
  EXPECT_ERROR(Json::parse(std::string(1000, '[')), "nesting of at most");
}

TEST(Json, RefusesNumbersThatAreNotJson) {
  for (const char* text : {"01", "1.", "+1", "-", "1e", ".5", "nan", "1e999", "0x10"})
    EXPECT_ERROR(Json::parse(text), "offset ");
}

TEST(Json, AccessOfAnotherTypeIsAnErrorThatNamesTheType) {
  const Json value = Json::parse("{\"a\": \"x\"}");
  EXPECT_ERROR(value.at("a").as_double(), "a string; expected a number");
  EXPECT_ERROR(value.at("b"), "no key \"b\"");
  EXPECT_TRUE(value.find("b") == nullptr);
}

}  // namespace
}  // namespace halftone
