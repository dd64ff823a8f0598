#include "halftone/base/toml.h"

#include <cmath>
#include <functional>
#include <random>

#include "tests/base/toml_corpus.h"
#include "tests/support/test.h"

namespace halftone::toml {
namespace {

TEST(Toml, ReadsEveryTypeWithItsLineAndPath) {
  const Value document = parse(
      "title = \"x\\ty\"\n\n[a.\"b c\"]\ncount = 3\nrate = 1e-3\non = true\nlist = [\n  1,\n  "
      "2.5]\n",
      "f.toml");
  EXPECT_EQ(document.at("title").as_string(), "x\ty");
  const Value& table = document.at("a").at("b c");
  EXPECT_EQ(table.at("count").as_integer(), 3);
  EXPECT_EQ(table.at("count").as_number(), 3.0);
  EXPECT_EQ(table.at("rate").as_number(), 1e-3);
  EXPECT_TRUE(table.at("on").as_boolean());
  EXPECT_EQ(table.at("list").as_array().size(), 2u);
  EXPECT_EQ(table.at("list").as_array()[1].where(), "f.toml:9");
  EXPECT_EQ(table.at("list").as_array()[1].path(), "a.\"b c\".list[1]");
  EXPECT_EQ(table.at("on").line(), 6);
  EXPECT_EQ(table.where(), "f.toml:3");
}

TEST(Toml, KeysStayInTheOrderOfTheFile) {
  std::string order;
  const Value document = parse("z=1\na=2\nm=3", "f");
  for (const auto& [key, value] : document.as_table()) order += key;
  EXPECT_EQ(order, "zam");
}

TEST(Toml, AWrongTypeIsRefusedWithLineAndValue) {
  const Value document = parse("[t]\na = \"x\"\nb = 1.5\nc = [1]\n", "f.toml");
  const Value& table = document.at("t");
  EXPECT_ERROR(table.at("a").as_integer(), "f.toml:2: t.a = \"x\"; expected a whole number");
  EXPECT_ERROR(table.at("b").as_integer(), "f.toml:3: t.b = 1.5; expected a whole number");
  EXPECT_ERROR(table.at("b").as_string(), "f.toml:3: t.b = 1.5; expected a string");
  EXPECT_ERROR(table.at("a").as_number(), "expected a number");
  EXPECT_ERROR(table.at("a").as_boolean(), "expected true or false");
  EXPECT_ERROR(table.at("c").as_table(), "t.c = an array; expected a table");
  EXPECT_ERROR(table.as_array(), "f.toml:1: t = a table; expected an array");
  EXPECT_ERROR(table.at("d"), "f.toml:1: no key t.d; expected a value for it");
}

TEST(Toml, AnUnknownKeyIsRefusedWithTheNearest) {
  const Value document = parse("epochs = 1\nbacth = 2\n", "config.toml");
  EXPECT_ERROR(document.check_keys({"batch", "epochs"}),
               "config.toml:2: unknown key \"bacth\"; expected batch or epochs (did you mean "
               "\"batch\"?)");
  document.check_keys({"bacth", "epochs"});
}

TEST(Toml, EveryValidTextIsRead) {
  for (const std::string& text : kValidTexts) {
    SCOPED_TRACE(text);
    EXPECT_NO_THROW(parse(text, "f"));
  }
}

TEST(Toml, EveryMistakeIsRefusedWithItsLine) {
  for (const Wrong& wrong : kWrongTexts) {
    SCOPED_TRACE(wrong.text);
    EXPECT_ERROR(parse(wrong.text, "f.toml"), "f.toml:" + std::to_string(wrong.line) + ": ");
  }
}

TEST(Toml, MistakesAreNamed) {
  EXPECT_ERROR(parse("a = 1\n\na = 2", "f"),
               "f:3: the key a a second time; expected each key once (it stands in line 1)");
  EXPECT_ERROR(parse("a = fp32", "f"), "f:1: \"fp32\"; expected a value: a string in quotes");
  EXPECT_ERROR(parse("a = [1", "f"), "f:1: the end of the document; expected , or ]");
  EXPECT_ERROR(parse("a = 1979-05-27", "f"), "a date or time (not in the subset");
  EXPECT_ERROR(parse("a = 0xff", "f"), "a hexadecimal, octal or binary integer");
  EXPECT_ERROR(parse("a = \"\"\"x\"\"\"", "f"), "a multi-line string");
}

TEST(Toml, DepthIsLimitedBeforeTheStackIs) {
  EXPECT_ERROR(parse("a = " + std::string(100'000, '['), "f"), "nested deeper than 32");
  std::string tables = "a = ", key = "a";
  for (int i = 0; i < 20'000; ++i) tables += "{a = ", key += ".a";
  EXPECT_ERROR(parse(tables, "f"), "nested deeper than 32");
  EXPECT_ERROR(parse(key + " = 1", "f"), "a key of more parts than 16");
  EXPECT_ERROR(parse("[" + key + "]", "f"), "a key of more parts than 16");
}

void expect_same(const Value& a, const Value& b) {
  SCOPED_TRACE(write_inline(a));
  if (a.is_table()) {
    ASSERT_EQ(a.as_table().size(), b.as_table().size());
    for (const auto& [key, value] : a.as_table()) expect_same(value, b.at(key));
  } else if (a.is_array()) {
    ASSERT_EQ(a.as_array().size(), b.as_array().size());
    for (std::size_t i = 0; i < a.as_array().size(); ++i) {
      expect_same(a.as_array()[i], b.as_array()[i]);
    }
  } else if (a.is_number() && std::isnan(a.as_number())) {
    EXPECT_TRUE(b.is_number() && std::isnan(b.as_number()));
  } else {
    EXPECT_EQ(a.is_integer(), b.is_integer());
    EXPECT_EQ(write_inline(a), write_inline(b));
  }
}

TEST(Toml, WhatIsWrittenReadsBackTheSame) {
  for (const std::string& text : kValidTexts) {
    SCOPED_TRACE(text);
    const Value document = parse(text, "f");
    expect_same(document, parse(write(document), "g"));
  }
}

std::string random_text(std::mt19937& random) {
  static const std::vector<std::string> pieces{"a",  "B",    "_", "-",  ".",        " ",
                                               "\"", "\\",   "'", "\n", "\r",       "\t",
                                               "#",  "\x01", "=", "]",  "\xc3\xa9", "\x7f"};
  std::string text;
  for (unsigned i = random() % 5; i-- > 0;) text += pieces[random() % pieces.size()];
  return text;
}

Value random_value(std::mt19937& random, int depth) {
  switch (random() % (depth > 0 ? 6 : 4)) {
    case 0:
      return random_text(random);
    case 1:
      return static_cast<std::int64_t>(random()) * (random() % 2 ? 1'000'000'007 : -1);
    case 2:
      return std::ldexp(static_cast<double>(random()) - 0x1p31,
                        static_cast<int>(random() % 200) - 100);
    case 3:
      return random() % 2 == 0;
    case 4: {
      Value::Array values;
      for (unsigned i = random() % 4; i-- > 0;) values.push_back(random_value(random, depth - 1));
      return values;
    }
    default: {
      Value table;
      for (unsigned i = random() % 5; i-- > 0;) {
        table.set(random_text(random), random_value(random, depth - 1)).comment("why");
      }
      return table;
    }
  }
}

TEST(Toml, RandomDocumentsReadBackTheSame) {
  std::mt19937 random(17);
  for (int i = 0; i < 2000; ++i) {
    Value document;
    for (int k = 0; k < 4; ++k) document.set(random_text(random), random_value(random, 4));
    SCOPED_TRACE(write(document));
    expect_same(document, parse(write(document), "f"));
  }
}

TEST(Toml, WritesForAReader) {
  Value document;
  document.set("name", "bf16").comment("which");
  document.set("scale", 65536.0).comment("how much");
  Value& table = document.set("loss_scale", Value());
  table.set("growth interval", 2000);
  table.comment("numbers");
  Value rule;
  rule.set("match", "*.bias");
  document.set("modules", Value::Array{rule, rule});
  EXPECT_EQ(write(document),
            "name = \"bf16\"    # which\nscale = 65536.0  # how much\n\n# numbers\n[loss_scale]\n"
            "\"growth interval\" = 2000\n\n[[modules]]\nmatch = \"*.bias\"\n\n[[modules]]\n"
            "match = \"*.bias\"\n");
}

}  // namespace
}  // namespace halftone::toml
