#include "halftone/data/sets/fashion_mnist.h"

#include <stdlib.h>

#include "tests/data/sets/fixtures.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

TEST(FashionMnist, ReadsPlainAndGzippedFiles) {
  Scratch dir;
  write_fashion_mnist(dir.path(), 25, 12);
  for (bool train : {true, false}) {
    const auto set = fashion_mnist(dir.path(), train);
    ASSERT_EQ(set->size(), train ? 25 : 12);
    EXPECT_EQ(set->classes(), 10);
    EXPECT_EQ(set->image_shape(), (std::array<int64_t, 3>{1, 28, 28}));
    EXPECT_EQ(set->label(11), 1);
    EXPECT_EQ(set->image(7)[0][1][2].item<int>(), 7 + 28 + 2);
  }
  EXPECT_EQ(fashion_mnist_classes().front(), "T-shirt/top");
  EXPECT_EQ(fashion_mnist_classes().back(), "Ankle boot");
}

// Writes one file and expects the error that opening the training set gives.
void expect_error(const std::string& file, const std::string& content, const std::string& text) {
  Scratch dir;
  write_fashion_mnist(dir.path(), 3, 3);
  write_file(dir / file, content);
  EXPECT_ERROR(fashion_mnist(dir.path(), true), text);
}

TEST(FashionMnist, MissingFileIsNamed) {
  Scratch dir;
  EXPECT_ERROR(fashion_mnist(dir.path(), true),
               "train-images-idx3-ubyte: no such file; expected it or train-images-idx3-ubyte.gz");
  write_fashion_mnist(dir.path(), 3, 3);
  std::filesystem::remove(dir / "train-labels-idx1-ubyte");
  EXPECT_ERROR(fashion_mnist(dir.path(), true), "train-labels-idx1-ubyte: no such file");
}

TEST(FashionMnist, WrongImagesAreErrorsWithTheOffset) {
  const std::string file = "train-images-idx3-ubyte", good = idx_images(3);
  expect_error(file, idx_labels(3),
               "ubyte, offset 0: magic number 0x00000801; expected 0x00000803");
  expect_error(file, "", "ubyte, offset 0: the file ends; expected a header");
  expect_error(file, good.substr(0, 10), "ubyte, offset 10: the file ends");
  expect_error(file, good.substr(0, 1000),
               "ubyte, offset 16: 984 bytes of values; expected 2352, which the header says");
  expect_error(file, good + "x", "2353 bytes of values; expected 2352");
  expect_error(file, idx_images(3, 27), "offset 8: images of 27x27; expected 28x28");
  expect_error(file, idx_images(0), "offset 4: dimension 0 of 0; expected 1 or more");
  const std::string huge = big_endian(0x803) + std::string(12, '\xff');
  expect_error(file, huge, "offset 8: dimension 1 of 4294967295; expected less");
}

TEST(FashionMnist, WrongLabelsAreErrorsWithTheOffset) {
  const std::string file = "train-labels-idx1-ubyte";
  expect_error(file, idx_images(3), "offset 0: magic number 0x00000803; expected 0x00000801");
  expect_error(file, idx_labels(2), "offset 4: 2 labels; expected 3, one for each image");
  std::string beyond = idx_labels(3);
  beyond[9] = 10;
  expect_error(file, beyond, "ubyte, offset 9: label 10; expected 0 to 9");
}

TEST(FashionMnist, CorruptAndTruncatedGzipAreErrorsWithTheOffset) {
  Scratch dir;
  write_fashion_mnist(dir.path(), 3, 3);
  const auto file = dir / "t10k-images-idx3-ubyte.gz";
  const std::string good = encode_gzip(idx_images(3));
  write_file(file, good.substr(0, good.size() / 2));
  EXPECT_ERROR(fashion_mnist(dir.path(), false), "ubyte.gz, offset ");
  EXPECT_ERROR(fashion_mnist(dir.path(), false), "the file is truncated");
  std::string damaged = good;
  damaged[good.size() - 6] ^= 1;  // the checksum
  write_file(file, damaged);
  EXPECT_ERROR(fashion_mnist(dir.path(), false), "corrupt gzip data (incorrect data check)");
}

// Sets an environment variable until it is destroyed.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    if (const char* before = ::getenv(name)) before_ = before;
    ::setenv(name, value.c_str(), 1);
  }
  ~Environment() { ::setenv(name_, before_.c_str(), 1); }

 private:
  const char* name_;
  std::string before_;
};

TEST(FindFashionMnist, LooksInTheCacheFirst) {
  Scratch cache;
  const Environment set("XDG_CACHE_HOME", cache.path().string());
  write_fashion_mnist(cache / "halftone/fashion-mnist", 3, 3);
  EXPECT_EQ(find_fashion_mnist(), cache / "halftone/fashion-mnist");
}

TEST(FindFashionMnist, SaysHowToGetItWhereItIsNot) {
  if (std::filesystem::exists("/usr/share/datasets/fashion-mnist")) {
    GTEST_SKIP() << "Debian's package is installed";
  }
  Scratch cache;
  const Environment set("XDG_CACHE_HOME", cache.path().string());
  write_fashion_mnist(cache / "halftone/fashion-mnist", 3, 3);
  std::filesystem::remove(cache / "halftone/fashion-mnist/t10k-labels-idx1-ubyte.gz");
  EXPECT_ERROR(find_fashion_mnist(), "scripts/fetch_fashion_mnist.sh gets them");
}

}  // namespace
}  // namespace halftone::data
