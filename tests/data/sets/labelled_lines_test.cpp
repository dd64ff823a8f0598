#include "halftone/data/sets/labelled_lines.h"

#include "halftone/base/file.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

TEST(LabelledLines, TextAndLabelAreSeparatedByTheLastTab) {
  const Scratch scratch;
  write_file(scratch / "a.tsv", "a fine film\t1\r\n\ntab\tin it\t0\n");
  const auto lines = labelled_lines(scratch / "a.tsv", 2);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].text, "a fine film");
  EXPECT_EQ(lines[0].label, 1);
  EXPECT_EQ(lines[1].text, "tab\tin it");
}

TEST(LabelledLines, WhatIsMalformedIsAnErrorWithFileAndLine) {
  const Scratch scratch;
  const auto expect = [&](const std::string& content, const std::string& message) {
    write_file(scratch / "a.tsv", content);
    EXPECT_ERROR(labelled_lines(scratch / "a.tsv", 2), message);
  };
  expect("good\t1\nno label\n", "a.tsv:2: one column in \"no label\"; expected a text, a tab");
  expect("good\t2\n", "a.tsv:1: label \"2\"; expected 0 to 1");
  expect("good\tpositive\n", "a.tsv:1: label \"positive\"");
  expect("good\t1\n  \t1\n", "a.tsv:2: an empty text");
  expect("caf\xE9\t1\n", "a.tsv:1: byte 0xE9 at offset 3");
  expect("\n\n", "a.tsv: no lines");
}

TEST(LabelledLines, WordsAreLowerCaseAndSeparatedBySpaces) {
  EXPECT_EQ(words_of("  A fine,  FILM !\t"), (std::vector<std::string>{"a", "fine,", "film", "!"}));
  EXPECT_TRUE(words_of(" \t").empty());
}

}  // namespace
}  // namespace halftone::data
