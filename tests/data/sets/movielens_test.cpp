#include "halftone/data/sets/movielens.h"

#include "halftone/base/file.h"
#include "halftone/base/log.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

std::string warning;

struct Files {
  Files() {
    write_file(scratch / "u.item",
               "1|Toy Story (1995)|01-Jan-1995||\n7|Les Mis\xE9rables|||\n3|Heat|||\n");
    write_file(scratch / "ua.base", "5\t7\t4\t881250949\n2\t1\t1\t881250949\r\n");
    write_file(scratch / "ua.test", "2\t7\t5\t881250949\n");
  }
  void expect(const char* file, const std::string& content, const std::string& message) const {
    const std::string before = read_file(scratch / file);
    write_file(scratch / file, content);
    EXPECT_ERROR(movielens(scratch.path()), message);
    write_file(scratch / file, before);
  }
  Scratch scratch;
};

TEST(MovieLens, UsersAndFilmsAreNumberedByTheirIds) {
  const Files files;
  const MovieLens set = movielens(files.scratch.path());
  EXPECT_EQ(set.users, (std::vector<std::int64_t>{2, 5}));
  ASSERT_EQ(set.items.size(), 3u);
  EXPECT_EQ(set.items[2].title, "Les Mis\xC3\xA9rables");
  ASSERT_EQ(set.train.size(), 2u);
  EXPECT_EQ(set.train[0].user, 1);
  EXPECT_EQ(set.train[0].item, 2);
  EXPECT_EQ(set.train[0].stars, 4.0f);
  ASSERT_EQ(set.test.size(), 1u);
  EXPECT_EQ(set.test[0].user, 0);
}

TEST(MovieLens, WhatIsMalformedIsAnErrorWithFileAndLine) {
  const Files files;
  files.expect("ua.base", "5\t7\t4\t88\n5\t1\t6\t88\n", "ua.base:2: rating 6; expected 1 to 5");
  files.expect("ua.base", "5\t7\t0\t88\n", "ua.base:1: rating 0");
  files.expect("ua.base", "5\t7\t4\n", "ua.base:1: 3 columns in \"5");
  files.expect("ua.base", "five\t7\t4\t88\n", "ua.base:1: user \"five\"; expected a whole number");
  files.expect("ua.base", "5\t7\tnan\t88\n", "ua.base:1: rating \"nan\"");
  files.expect("ua.base", "5\t8\t4\t88\n", "ua.base:1: film 8; expected one that u.item has");
  files.expect("ua.base", "2\t7\t4\t88\n", "ua.test:1: user 2 and film 7 twice");
  files.expect("ua.base", "", "ua.base: no ratings");
  files.expect("u.item", "1\n", "u.item:1: 1 columns");
  files.expect("u.item", "1|A|\n1|B|\n", "u.item: film 1 twice");
  std::filesystem::remove(files.scratch / "ua.test");
  EXPECT_ERROR(movielens(files.scratch.path()), "ua.test");
}

TEST(MovieLens, UsersWhoAreOnlyInTheTestSetAreLeftOutAndCounted) {
  const Files files;
  write_file(files.scratch / "ua.test", "9\t7\t5\t88\n2\t7\t5\t88\n9\t3\t1\t88\n");
  const LogSink before =
      set_log_sink([](std::string_view, std::string_view line) { warning = line; });
  const MovieLens set = movielens(files.scratch.path());
  set_log_sink(before);
  EXPECT_EQ(set.test.size(), 1u);
  EXPECT_NE(warning.find("ua.test: 2 ratings left out"), std::string::npos) << warning;
  write_file(files.scratch / "ua.test", "9\t7\t5\t88\n");
  EXPECT_ERROR(movielens(files.scratch.path()), "no rating of a user of ua.base");
}

}  // namespace
}  // namespace halftone::data
