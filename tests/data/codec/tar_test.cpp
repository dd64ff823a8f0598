#include "halftone/data/codec/tar.h"

#include "halftone/base/file.h"
#include "tests/data/codec/encode.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

TEST(Tar, ListsRegularFilesAndReadsThem) {
  Scratch dir;
  const std::string large(1000, 'x'), full(512, 'y');
  write_file(dir / "a.tar", tar_entry("./d/", "", '5') + tar_entry("./d/one", "first") +
                                tar_entry("link", "", '2') + tar_entry("empty", "") +
                                tar_entry("d/large", large) + tar_entry("full", full) + tar_end());
  const TarReader tar(dir / "a.tar");
  std::vector<std::string> names;
  for (const auto& entry : tar.entries()) names.push_back(entry.name);
  EXPECT_EQ(names, (std::vector<std::string>{"d/one", "empty", "d/large", "full"}));
  EXPECT_EQ(tar.read(tar.entries()[0]), "first");
  EXPECT_EQ(tar.read(tar.entries()[1]), "");
  EXPECT_EQ(tar.read(tar.entries()[2]), large);
  EXPECT_EQ(tar.read(tar.entries()[3]), full);
}

TEST(Tar, LongNamesOfAllThreeKinds) {
  Scratch dir;
  const std::string name(150, 'n');
  const std::string record = "165 path=" + name + "p\n";
  write_file(dir / "a.tar", tar_entry("short", "1", '0', "prefix") +
                                tar_entry("././@LongLink", name + std::string(1, '\0'), 'L') +
                                tar_entry(name, "2") + tar_entry("pax", record, 'x') +
                                tar_entry(name, "3") + tar_entry("last", "4") + tar_end());
  const TarReader tar(dir / "a.tar");
  ASSERT_EQ(tar.entries().size(), 4u);
  EXPECT_EQ(tar.entries()[0].name, "prefix/short");
  EXPECT_EQ(tar.entries()[1].name, name);
  EXPECT_EQ(tar.entries()[2].name, name + "p");
  EXPECT_EQ(tar.entries()[3].name, "last");
}

TEST(Tar, TruncatedAnywhereIsAnErrorWithTheOffset) {
  Scratch dir;
  const std::string whole =
      tar_entry("one", std::string(700, 'a')) + tar_entry("two", std::string(100, 'b'));
  for (size_t length = 0; length <= whole.size(); length += 64) {
    write_file(dir / "a.tar", whole.substr(0, length));
    EXPECT_ERROR(TarReader(dir / "a.tar"), "a.tar, offset ");
  }
  write_file(dir / "a.tar", whole.substr(0, 1000));
  EXPECT_ERROR(TarReader(dir / "a.tar"),
               "offset 0: 488 bytes of one; expected 700: the archive is truncated");
  write_file(dir / "a.tar", whole);
  EXPECT_ERROR(TarReader(dir / "a.tar"), "offset 2560: the file ends; expected a tar header or");
}

TEST(Tar, DamagedAndForeignFilesAreErrors) {
  Scratch dir;
  std::string damaged = tar_entry("one", "1") + tar_entry("two", "2") + tar_end();
  damaged[1024] ^= 1;
  write_file(dir / "a.tar", damaged);
  EXPECT_ERROR(TarReader(dir / "a.tar"), "a.tar, offset 1024: no tar header");
  write_file(dir / "a.tar", std::string(4096, 'z'));
  EXPECT_ERROR(TarReader(dir / "a.tar"), "a.tar, offset 0: no tar header");
  write_file(dir / "a.tar", encode_gzip(std::string(4096, 'z')));
  EXPECT_ERROR(TarReader(dir / "a.tar"), "a.tar: a gzip file; expected a plain tar");
  EXPECT_ERROR(TarReader(dir / "none.tar"), "none.tar: cannot read (No such file or directory)");
  EXPECT_ERROR(TarReader{dir.path()}, "Is a directory");
}

}  // namespace
}  // namespace halftone::data
