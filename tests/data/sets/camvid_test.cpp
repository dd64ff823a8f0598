#include "halftone/data/sets/camvid.h"

#include "halftone/base/file.h"
#include "tests/data/codec/encode.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

// 8x6, class 0 above, `klass` in the last row.
std::string road_mask(int klass, int64_t height = 6) {
  std::string samples(static_cast<size_t>(8 * (height - 1)), '\0');
  samples += std::string(8, static_cast<char>(klass));
  return encode_png(samples, height, 8, PNG_FORMAT_GRAY);
}

void write_example(const std::filesystem::path& dir, const std::string& name,
                   const std::string& mask) {
  std::filesystem::create_directories(dir);
  write_file(dir / (name + ".jpg"), encode_jpeg(gradient(3, 6, 8)));
  write_file(dir / (name + ".png"), mask);
}

TEST(CamVid, ReadsTarsAndBothKindsOfDirectories) {
  const Scratch scratch;
  write_example(scratch / "train", "b", road_mask(3));
  write_example(scratch / "train", "a", road_mask(11));
  write_file(scratch / "val.tar", tar_entry("a.png", road_mask(2)) +
                                      tar_entry("a.jpg", encode_jpeg(gradient(3, 6, 8))) +
                                      tar_end());
  std::filesystem::create_directories(scratch / "test");
  std::filesystem::create_directories(scratch / "testannot");
  write_file(scratch / "test" / "a.png",
             encode_png(interleaved(gradient(3, 6, 8)), 6, 8, PNG_FORMAT_RGB));
  write_file(scratch / "testannot" / "a.png", road_mask(5));

  const auto train = camvid(scratch.path(), "train");
  ASSERT_EQ(train->size(), 2);
  EXPECT_EQ(train->classes(), 11);
  const MaskedImage first = train->read(0);  // by name
  EXPECT_EQ(first.image.sizes(), at::IntArrayRef({3, 6, 8}));
  EXPECT_EQ(first.mask[5][7].item<int>(), 11);
  EXPECT_EQ(train->read_mask(1)[5][0].item<int>(), 3);
  EXPECT_EQ(camvid(scratch.path(), "val")->read(0).mask[5][0].item<int>(), 2);
  EXPECT_EQ(camvid(scratch.path(), "test")->read(0).mask[5][0].item<int>(), 5);
  EXPECT_EQ(camvid_classes().size(), camvid_colours().size());
}

TEST(CamVid, KeepsImagesAndMasksInTheCache) {
  const Scratch scratch;
  write_example(scratch / "train", "a", road_mask(3));
  const auto cache = std::make_shared<ImageCache>(1000);
  const auto train = camvid(scratch.path(), "train", cache);
  EXPECT_EQ(cache->bytes(), 0);
  const MaskedImage first = train->read(0);
  EXPECT_EQ(cache->bytes(), (3 + 1) * 6 * 8);
  std::filesystem::remove_all(scratch / "train");
  const MaskedImage again = train->read(0);
  EXPECT_TRUE(again.image.equal(first.image));
  EXPECT_TRUE(again.mask.equal(first.mask));
}

TEST(CamVid, MaskOfAnotherSizeIsAnError) {
  const Scratch scratch;
  write_example(scratch / "train", "a", road_mask(3, 5));
  EXPECT_ERROR(camvid(scratch.path(), "train")->read(0),
               "a.png: a mask of 8x5; expected its image's 8x6");
}

TEST(CamVid, UnknownClassIsAnErrorWithItsPlace) {
  const Scratch scratch;
  write_example(scratch / "train", "a", road_mask(12));
  EXPECT_ERROR(camvid(scratch.path(), "train")->read(0),
               "a.png: class 12 at 0,5; expected 0 to 10, or 11 for void");
  write_example(scratch / "train", "a", encode_png(std::string(3 * 48, 'a'), 6, 8, PNG_FORMAT_RGB));
  EXPECT_ERROR(camvid(scratch.path(), "train")->read(0),
               "a.png: a mask in colour; expected one grey channel of classes");
}

TEST(CamVid, ImageWithoutMaskAndMissingDataAreErrors) {
  const Scratch scratch;
  EXPECT_ERROR(camvid(scratch.path(), "train"), "no train.tar and no directory train");
  std::filesystem::create_directories(scratch / "train");
  EXPECT_ERROR(camvid(scratch.path(), "train"),
               "train: no images; expected NAME.jpg with NAME.png");
  write_example(scratch / "train", "a", road_mask(0));
  std::filesystem::remove(scratch / "train" / "a.png");
  EXPECT_ERROR(camvid(scratch.path(), "train"), "no mask for a.jpg");
}

TEST(CamVid, TruncatedMaskIsAnErrorThatNamesIt) {
  const Scratch scratch;
  const std::string whole = road_mask(3);
  write_example(scratch / "train", "a", whole.substr(0, whole.size() - 20));
  EXPECT_ERROR(camvid(scratch.path(), "train")->read(0), "a.png: corrupt PNG");
}

}  // namespace
}  // namespace halftone::data
