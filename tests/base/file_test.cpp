#include "halftone/base/file.h"

#include "tests/support/scratch.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

TEST(File, WhatIsWrittenReadsBack) {
  Scratch scratch;
  const std::string content("a\0b\n", 4);
  write_file(scratch / "x", content);
  EXPECT_TRUE(read_file(scratch / "x") == content);
  write_file(scratch / "x", "");
  EXPECT_EQ(read_file(scratch / "x"), "");
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"x"});
}

TEST(File, MissingFileIsAnErrorWithTheSystemsReason) {
  Scratch scratch;
  EXPECT_ERROR(read_file(scratch / "none"), "none: cannot read (No such file or directory)");
  EXPECT_ERROR(read_file(scratch.path()), "cannot read (Is a directory)");
}

TEST(File, UnwritableDirectoryIsAnErrorWithTheSystemsReason) {
  Scratch scratch;
  write_file(scratch / "file", "");
  EXPECT_ERROR(write_file(scratch / "file" / "x", ""), "x: cannot write (Not a directory)");
  EXPECT_ERROR(make_directories(scratch / "file" / "x"), "x: cannot create (Not a directory)");
  EXPECT_ERROR(AppendFile(scratch / "no" / "x"), "x: cannot write (No such file or directory)");
}

TEST(File, AtomicFileAppearsOnlyAtCommit) {
  Scratch scratch;
  {
    AtomicFile file(scratch / "x");
    file.write("ab", 2);
    EXPECT_TRUE(!std::filesystem::exists(scratch / "x"));
    file.commit();
    EXPECT_EQ(read_file(scratch / "x"), "ab");
  }
  {
    AtomicFile file(scratch / "x");
    file.write("cd", 2);
  }
  EXPECT_EQ(read_file(scratch / "x"), "ab");
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"x"});
}

TEST(File, FullDiskKeepsTheOldFileAndLeavesNoTemporary) {
  Scratch scratch;
  write_file(scratch / "x", "old");
  const std::string large(1 << 16, 'x');
  {
    SmallDisk disk(4096);
    EXPECT_ERROR(write_file(scratch / "x", large), "x: cannot write (File too large)");
  }
  EXPECT_EQ(read_file(scratch / "x"), "old");
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"x"});
}

TEST(File, AppendToAFullDeviceIsAnError) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  AppendFile file("/dev/full");
  EXPECT_ERROR(file.append("line\n"), "/dev/full: cannot write (No space left on device)");
}

TEST(File, AppendFileAddsOrStartsAnew) {
  Scratch scratch;
  AppendFile(scratch / "x").append("1\n");
  AppendFile(scratch / "x").append("2\n");
  EXPECT_EQ(read_file(scratch / "x"), "1\n2\n");
  AppendFile(scratch / "x", /*truncate=*/true).append("3\n");
  EXPECT_EQ(read_file(scratch / "x"), "3\n");
}

}  // namespace
}  // namespace halftone
