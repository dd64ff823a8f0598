#include "halftone/data/codec/image.h"

#include <ATen/Functions.h>

#include "halftone/base/file.h"
#include "tests/data/codec/encode.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

TEST(LoadImage, TellsTheFormatByTheContentNotTheName) {
  Scratch dir;
  const Pixels pixels = gradient(3, 6, 5);
  write_file(dir / "a.jpg", encode_png(interleaved(pixels), 6, 5, PNG_FORMAT_RGB));
  const at::Tensor image = load_image(dir / "a.jpg");
  EXPECT_EQ(image.scalar_type(), at::kByte);
  ASSERT_EQ(image.sizes(), at::IntArrayRef({3, 6, 5}));
  EXPECT_TRUE(std::equal(pixels.chw.begin(), pixels.chw.end(), image.const_data_ptr<uint8_t>()));
}

TEST(LoadImage, MissingFileIsNamed) {
  EXPECT_ERROR(load_image("/nowhere/a.png"), "/nowhere/a.png: cannot read (No such file");
}

TEST(FitImage, ShrinksByAreaAndGrowsBilinearly) {
  const at::Tensor image =
      at::tensor({0, 10, 20, 30, 100, 110, 120, 130}, at::kByte).view({1, 2, 4});
  EXPECT_TRUE(
      at::equal(fit_image(image, {1, 1, 2}), at::tensor({55, 75}, at::kByte).view({1, 1, 2})));
  EXPECT_TRUE(at::equal(fit_image(image, {1, 2, 4}), image));
  const at::Tensor wide = fit_image(image.narrow(2, 0, 2), {1, 2, 4});
  EXPECT_TRUE(at::equal(wide[0][0], at::tensor({0, 2, 8, 10}, at::kByte)));  // 2.5 and 7.5: to even
  EXPECT_EQ(fit_image(image, {1, 5, 2}).sizes(), at::IntArrayRef({1, 5, 2}));
}

TEST(FitImage, TurnsColourToGreyAndBack) {
  const at::Tensor red = at::tensor({255, 0, 0}, at::kByte).view({3, 1, 1});
  EXPECT_EQ(fit_image(red, {1, 1, 1}).item<int>(), 76);  // 0.299 * 255
  const at::Tensor grey = at::full({1, 2, 2}, 9, at::kByte);
  const at::Tensor colour = fit_image(grey, {3, 2, 2});
  EXPECT_TRUE(at::equal(colour, at::full({3, 2, 2}, 9, at::kByte)));
  EXPECT_TRUE(colour.is_contiguous());
}

TEST(FitImage, ShapesThatMakeNoSenseAreErrors) {
  EXPECT_ERROR(fit_image(at::zeros({2, 4, 4}, at::kByte), {1, 4, 4}), "1 or 3 channels");
  EXPECT_ERROR(fit_image(at::zeros({4, 4}, at::kByte), {1, 4, 4}), "an image of 2 dimensions");
  EXPECT_ERROR(fit_image(at::zeros({1, 4, 4}, at::kByte), {1, 0, 4}), "1x0x4; expected");
}

}  // namespace
}  // namespace halftone::data
