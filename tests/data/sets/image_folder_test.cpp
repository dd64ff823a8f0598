#include "halftone/data/sets/image_folder.h"

#include "halftone/base/file.h"
#include "tests/data/sets/fixtures.h"
#include "tests/data/sets/photo_folder.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

std::shared_ptr<const Photos> opened(const std::filesystem::path& path, const char* split) {
  return image_folder(path, split, image_folder_classes(path));
}

TEST(ImageFolder, ReadsClassesFromFolders) {
  const Scratch scratch;
  write_photo_folder(scratch.path(), 2);
  const KeepWarnings keep;
  EXPECT_EQ(image_folder_classes(scratch.path()), (std::vector<std::string>{"ant", "bee", "cow"}));
  const auto train = opened(scratch.path(), "train");
  ASSERT_EQ(train->size(), 6);
  EXPECT_EQ(train->classes(), 3);
  EXPECT_EQ(train->label(5), 2);
  const at::Tensor image = train->read(5);  // cow/1.PNG
  EXPECT_EQ(image.sizes(), at::IntArrayRef({3, 32, 33}));
  EXPECT_GT(image[2].to(at::kFloat).mean().item<float>(), 170);
  EXPECT_EQ(opened(scratch.path(), "val")->size(), 3);
  EXPECT_EQ(kept_warnings, "");
}

TEST(ImageFolder, OtherFilesArePassedOverWithAWarningThatCountsThem) {
  const Scratch scratch;
  write_photo_folder(scratch.path(), 2);
  const auto train = scratch / "train";
  std::filesystem::create_directories(train / "bee/deeper");
  for (const char* name : {"list.csv", "ant/notes.txt", "ant/photo.webp", "bee/.hidden"}) {
    write_file(train / name, "no image");
  }
  const KeepWarnings keep;
  EXPECT_EQ(opened(scratch.path(), "train")->size(), 6);
  EXPECT_NE(kept_warnings.find("train: 4 entries are passed over, expected CLASS/*.jpg, *.jpeg or "
                               "*.png: ant/notes.txt, ant/photo.webp, bee/deeper, list.csv\n"),
            std::string::npos)
      << kept_warnings;
}

TEST(ImageFolder, GreyDeepTransparentAndPrintersImagesComeInColour) {
  const Scratch scratch;
  write_photo_folder(scratch.path(), 1);
  const auto folder = scratch / "train/ant";
  std::filesystem::remove(folder / "0.jpg");
  write_file(folder / "a.png", encode_png(std::string(12, '\x50'), 3, 4, PNG_FORMAT_GRAY));
  write_file(folder / "b.png", encode_png(std::string(48, '\x50'), 3, 4, PNG_FORMAT_RGBA));
  write_file(folder / "c.png",
             encode_png(std::string(96, '\x40'), 3, 4, PNG_FORMAT_LINEAR_RGB_ALPHA));
  write_file(folder / "d.jpg", encode_jpeg(gradient(1, 3, 4)));
  write_file(folder / "e.jpg", encode_jpeg(gradient(4, 3, 4)));  // CMYK
  const auto photos = opened(scratch.path(), "train");
  for (int64_t i = 0; i < 5; ++i) {
    EXPECT_EQ(photos->label(i), 0);
    EXPECT_EQ(photos->read(i).sizes(), at::IntArrayRef({3, 3, 4})) << i;
  }
}

TEST(ImageFolder, ACorruptImageIsAnErrorThatNamesItsFile) {
  const Scratch scratch;
  write_photo_folder(scratch.path(), 1);
  const std::string whole = read_file(scratch / "train/bee/0.jpg");
  write_file(scratch / "train/bee/0.jpg", whole.substr(0, whole.size() / 2));
  write_file(scratch / "train/cow/0.jpg", "not at all");
  const auto photos = opened(scratch.path(), "train");
  EXPECT_ERROR(photos->read(1), "train/bee/0.jpg: corrupt JPEG");
  EXPECT_ERROR(photos->read(2), "train/cow/0.jpg");
}

TEST(ImageFolder, FoldersThatDoNotFitAreErrors) {
  const Scratch scratch;
  EXPECT_ERROR(image_folder_classes(scratch.path()), "no directory train; expected ImageNet's");
  std::filesystem::create_directories(scratch / "train");
  EXPECT_ERROR(image_folder_classes(scratch.path()), "train: no folders");
  write_photo_folder(scratch.path(), 1);
  std::filesystem::create_directories(scratch / "train/dog");
  EXPECT_ERROR(opened(scratch.path(), "train"), "no images of class dog");
  std::filesystem::remove(scratch / "train/dog");
  std::filesystem::create_directories(scratch / "val/yak");
  EXPECT_ERROR(opened(scratch.path(), "val"), "val: class yak; expected one of ant, bee, cow");
  std::filesystem::remove_all(scratch / "val");
  EXPECT_ERROR(opened(scratch.path(), "val"), "no directory val");
}

}  // namespace
}  // namespace halftone::data
