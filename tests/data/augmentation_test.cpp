#include "halftone/data/augmentation.h"

#include <ATen/Functions.h>

#include "halftone/data/random.h"
#include "tests/data/sets_for_tests.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::data {
namespace {

// One image through write(), as (C,H,W).
at::Tensor augmented(const Augmenter& augmenter, const at::Tensor& image,
                     const AugmentationDraw& draw) {
  const auto shape = image.sizes();
  at::Tensor hwc = at::empty({shape[1], shape[2], shape[0]});
  augmenter.write(image.const_data_ptr<uint8_t>(), draw, hwc.mutable_data_ptr<float>());
  return hwc.permute({2, 0, 1});
}

at::Tensor small_image() {  // no value twice, no symmetry, height and width differ
  return at::arange(1, 1 + 2 * 5 * 7).view({2, 5, 7}).to(at::kByte);
}

Augmentation plain_crop(Padding padding, bool flip) {
  Augmentation a;
  a.crop_padding = 3;
  a.padding = padding;
  a.horizontal_flip = flip;
  a.mean = {0, 0};
  a.standard_deviation = {1. / 255, 1. / 255};  // bytes stay as they are
  return a;
}

TEST(Augmentation, NothingScalesToZeroAndOne) {
  const at::Tensor image = small_image();
  const auto out = augmented(Augmenter({}, {2, 5, 7}), image, {});
  EXPECT_TRUE(at::allclose(out, image.to(at::kFloat) / 255, tolerance::kFp32Unit * 2, 0));
}

TEST(Augmentation, NormalisesEachChannel) {
  Augmentation a;
  a.mean = {0.25, 0.5};
  a.standard_deviation = {0.125, 2};
  const at::Tensor image = small_image();
  const at::Tensor scaled = image.to(at::kDouble) / 255;
  const at::Tensor expected = at::stack({(scaled[0] - 0.25) / 0.125, (scaled[1] - 0.5) / 2});
  const auto out = augmented(Augmenter(a, {2, 5, 7}), image, {});
  EXPECT_TRUE(at::allclose(out, expected.to(at::kFloat), tolerance::kFp32Unit * 2, 1e-7));
}

TEST(Augmentation, CropsEveryWindowOfThePaddedImageMirroredOrNot) {
  const at::Tensor image = small_image(), wide = image.to(at::kFloat).unsqueeze(0);
  for (Padding padding : {Padding::zero, Padding::reflect}) {
    const at::Tensor padded = (padding == Padding::zero ? at::constant_pad_nd(wide, {3, 3, 3, 3})
                                                        : at::reflection_pad2d(wide, {3, 3, 3, 3}))
                                  .squeeze(0);
    const Augmenter augmenter(plain_crop(padding, true), {2, 5, 7});
    for (int64_t row = 0; row <= 6; ++row) {
      for (int64_t column = 0; column <= 6; ++column) {
        at::Tensor window = padded.narrow(1, row, 5).narrow(2, column, 7);
        EXPECT_TRUE(at::allclose(augmented(augmenter, image, {row, column, false}), window));
        EXPECT_TRUE(
            at::allclose(augmented(augmenter, image, {row, column, true}), window.flip({2})));
      }
    }
  }
}

TEST(Augmentation, CutoutSetsASquareClippedAtTheBorderToTheMean) {
  Augmentation a;
  a.cutout = 4;
  a.mean = {0.5, 0.5};
  a.standard_deviation = {0.25, 0.25};
  const at::Tensor image = small_image();
  const Augmenter augmenter(a, {2, 5, 7});
  const at::Tensor whole =
      augmented(Augmenter({.mean = a.mean, .standard_deviation = a.standard_deviation}, {2, 5, 7}),
                image, {});
  for (int64_t row = 0; row < 5; ++row) {
    for (int64_t column = 0; column < 7; ++column) {
      const int64_t top = std::max<int64_t>(row - 2, 0), left = std::max<int64_t>(column - 2, 0);
      at::Tensor expected = whole.clone();
      expected.narrow(1, top, std::min<int64_t>(row + 2, 5) - top)
          .narrow(2, left, std::min<int64_t>(column + 2, 7) - left)
          .zero_();
      EXPECT_TRUE(at::equal(augmented(augmenter, image, {0, 0, false, row, column}), expected));
    }
  }
}

TEST(Augmentation, DrawsCoverTheirRangesEvenly) {
  const Augmenter augmenter(everything(), {3, 8, 8});
  std::array<int, 5> rows{}, columns{};
  std::array<int, 8> centres{};
  int flips = 0;
  for (uint64_t i = 0; i < 4000; ++i) {
    const auto draw = augmenter.draw(stream_key(1, 0, i));
    ++rows.at(static_cast<size_t>(draw.row));
    ++columns.at(static_cast<size_t>(draw.column));
    ++centres.at(static_cast<size_t>(draw.cutout_row));
    flips += draw.flip;
  }
  // Five binomial standard deviations each: sqrt(4000 p (1 - p)) = 25, 25, 21, 32.
  for (int count : rows) EXPECT_NEAR(count, 800, 127);
  for (int count : columns) EXPECT_NEAR(count, 800, 127);
  for (int count : centres) EXPECT_NEAR(count, 500, 105);
  EXPECT_NEAR(flips, 2000, 158);
}

TEST(Augmentation, AnAlternatingFlipShowsBothWaysInTwoEpochs) {
  Augmentation a = everything();
  const Augmenter drawn(a, {3, 8, 8});
  a.alternating_flip = true;
  const Augmenter alternating(a, {3, 8, 8});
  int flips = 0, drawn_again = 0;
  for (int64_t index = 0; index < 400; ++index) {
    const auto first = alternating.draw(7, 0, index);
    flips += first.flip;
    for (int64_t epoch = 0; epoch < 4; ++epoch) {
      const auto now = alternating.draw(7, epoch, index), usual = drawn.draw(7, epoch, index);
      EXPECT_EQ(now.flip, first.flip != (epoch % 2 == 1));
      EXPECT_EQ(now.row, usual.row);
      drawn_again += usual.flip == first.flip;
    }
  }
  EXPECT_NEAR(flips, 200, 50);  // five binomial standard deviations
  EXPECT_NEAR(drawn_again, 400 + 600, 90);
}

TEST(Augmentation, TurningCutoutOnDoesNotMoveTheCrops) {
  Augmentation without = everything();
  without.cutout = 0;
  const Augmenter a(everything(), {3, 8, 8}), b(without, {3, 8, 8});
  for (uint64_t key = 0; key < 20; ++key) {
    EXPECT_EQ(a.draw(key).row, b.draw(key).row);
    EXPECT_EQ(a.draw(key).column, b.draw(key).column);
    EXPECT_EQ(a.draw(key).flip, b.draw(key).flip);
  }
}

TEST(Augmentation, ValuesThatMakeNoSenseAreErrors) {
  const auto make = [](auto change) {
    Augmentation a;
    change(a);
    Augmenter augmenter(a, {3, 8, 6});
  };
  EXPECT_ERROR(make([](auto& a) { a.crop_padding = 6; }), "6; expected 0 to 5 for images of 8x6");
  EXPECT_ERROR(make([](auto& a) { a.crop_padding = -1; }), "crop_padding: -1");
  EXPECT_ERROR(make([](auto& a) { a.cutout = -1; }), "cutout: -1; expected 0 or more");
  EXPECT_ERROR(make([](auto& a) { a.mean = {0.5}; }), "mean: 1 values; expected one for each of 3");
  EXPECT_ERROR(make([](auto& a) { a.mean = {0, 0, NAN}; }), "mean: nan; expected a finite");
  EXPECT_ERROR(make([](auto& a) { a.standard_deviation = {1, 0, 1}; }), "expected more than 0");
}

}  // namespace
}  // namespace halftone::data
