#include "halftone/data/codec/gunzip.h"

#include "tests/data/codec/encode.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

std::string sample() {  // noise: it hardly compresses
  std::string content;
  uint32_t state = 1;
  for (int i = 0; i < 50000; ++i) {
    state = state * 1664525 + 1013904223;
    content += static_cast<char>(state >> 26);
  }
  return content;
}

TEST(Gunzip, GivesBackTheContent) {
  for (const std::string& content : {std::string(), std::string("a"), sample()}) {
    const std::string compressed = encode_gzip(content);
    EXPECT_TRUE(gunzip(as_bytes(compressed), "f.gz") == content);
  }
}

TEST(Gunzip, MembersFollowOneAnother) {
  const std::string compressed = encode_gzip("one, ") + encode_gzip("two");
  EXPECT_EQ(gunzip(as_bytes(compressed), "f.gz"), "one, two");
}

TEST(Gunzip, TruncatedAnywhereIsAnErrorWithTheOffset) {
  const std::string compressed = encode_gzip(sample());
  for (size_t length = 0; length < compressed.size(); length += 97) {
    const std::string cut = compressed.substr(0, length);
    EXPECT_ERROR(gunzip(as_bytes(cut), "f.gz"), "f.gz, offset ");
  }
  const std::string cut = compressed.substr(0, 1000);
  EXPECT_ERROR(gunzip(as_bytes(cut), "f.gz"),
               "f.gz, offset 1000: the gzip data ends; expected more of it: the file is truncated");
}

TEST(Gunzip, DamageIsAnErrorAndNeverOtherContent) {
  const std::string content = sample(), compressed = encode_gzip(content);
  int errors = 0;
  for (size_t place = 10; place < compressed.size(); place += 311) {
    std::string damaged = compressed;
    damaged[place] = static_cast<char>(damaged[place] ^ 0x55);
    try {
      EXPECT_TRUE(gunzip(as_bytes(damaged), "f.gz") == content);
    } catch (const Error& error) {
      EXPECT_EQ(error.where().rfind("f.gz, offset ", 0), 0u);
      ++errors;
    }
  }
  EXPECT_GT(errors, 50);
}

TEST(Gunzip, OtherFilesAreNamed) {
  const std::string text = "hello", trailing = encode_gzip("one") + "two";
  EXPECT_ERROR(gunzip(as_bytes(text), "f.gz"), "f.gz, offset 0: no gzip header; expected a gzip");
  EXPECT_ERROR(gunzip(as_bytes(trailing), "f.gz"), "expected a gzip member or the file's end");
}

TEST(Gunzip, ContentHasALimit) {
  const std::string compressed = encode_gzip(sample());
  EXPECT_ERROR(gunzip(as_bytes(compressed), "f.gz", 40000), "more than 40000 bytes of content");
}

}  // namespace
}  // namespace halftone::data
