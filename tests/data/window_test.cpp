#include "halftone/data/window.h"

#include <ATen/Functions.h>

#include <vector>

#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::data {
namespace {

constexpr std::array<double, 3> kNoMean{0, 0, 0}, kUnit{1, 1, 1};

at::Tensor filled_image(const at::Tensor& image, const Window& window, int64_t height,
                        int64_t width) {
  at::Tensor hwc = at::empty({height, width, image.size(0)}, at::kFloat);
  fill_image(image, window, height, width, kNoMean, kUnit, hwc.mutable_data_ptr<float>());
  return hwc.permute({2, 0, 1});
}

at::Tensor filled_mask(const at::Tensor& mask, const Window& window, int64_t height, int64_t width,
                       int64_t outside = 99) {
  at::Tensor out = at::empty({height, width}, at::kLong);
  fill_mask(mask, window, height, width, outside, out.mutable_data_ptr<int64_t>());
  return out;
}

at::Tensor numbered(int64_t height, int64_t width) {
  return at::arange(height * width).reshape({height, width}).to(at::kByte);
}

TEST(Window, WholeImageAtItsOwnSizeIsTheImage) {
  const at::Tensor image = at::randint(0, 256, {3, 7, 11}, at::kByte);
  const at::Tensor filled = filled_image(image, whole_window(7, 11), 7, 11);
  EXPECT_TRUE(at::allclose(filled * 255, image.to(at::kFloat), 0, 255 * tolerance::kFp32));
  const at::Tensor mask = numbered(7, 11);
  EXPECT_TRUE(at::equal(filled_mask(mask, whole_window(7, 11), 7, 11), mask.to(at::kLong)));
}

TEST(Window, MeanDeviationGainAndShiftAreApplied) {
  const at::Tensor image = at::full({1, 2, 2}, 204, at::kByte);  // 0.8
  Window window = whole_window(2, 2);
  window.gain = 0.5;
  window.shift = 0.1;
  std::vector<float> out(4);
  fill_image(image, window, 2, 2, {0.3, 0, 0}, {0.5, 1, 1}, out.data());
  EXPECT_NEAR(out[0], (0.5 + 0.3 * 0.5 + 0.1 - 0.3) / 0.5, tolerance::kFp32);
}

// LibTorch's antialiased bilinear resize is the same triangle.
TEST(Window, ShrinkingAndGrowingAreLibTorchsAntialiasedResize) {
  const at::Tensor image = at::randint(0, 256, {3, 24, 30}, at::kByte);
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{12, 15}, {9, 14}, {48, 61}}) {
    const at::Tensor expected =
        at::_upsample_bilinear2d_aa(image.to(at::kFloat).unsqueeze(0), {height, width}, false) /
        255;
    const at::Tensor given = filled_image(image, whole_window(24, 30), height, width);
    EXPECT_LT((given - expected[0]).abs().max().item<double>(), tolerance::kFp32)
        << height << "x" << width;
  }
}

TEST(Window, FlipsMirrorImageMaskAndBoxAlike) {
  const at::Tensor plane = numbered(5, 6);
  Window window = whole_window(5, 6);
  window.flip_x = true;
  EXPECT_TRUE(at::equal(filled_mask(plane, window, 5, 6), plane.flip(1).to(at::kLong)));
  const at::Tensor image = filled_image(plane.unsqueeze(0), window, 5, 6) * 255;
  EXPECT_TRUE(at::equal(image[0].round().to(at::kByte), plane.flip(1)));
  EXPECT_EQ(move_box({1, 1, 3, 4}, window, 5, 6), (Box{3, 1, 5, 4}));
  window.flip_x = false;
  window.flip_y = true;
  EXPECT_TRUE(at::equal(filled_mask(plane, window, 5, 6), plane.flip(0).to(at::kLong)));
  EXPECT_EQ(move_box({1, 1, 3, 4}, window, 5, 6), (Box{1, 1, 3, 4}));
  EXPECT_EQ(move_box({1, 0, 3, 4}, window, 5, 6), (Box{1, 1, 3, 5}));
}

TEST(Window, OutsideIsTheMeanAndPassedOver) {
  const at::Tensor plane = at::full({2, 2}, 7, at::kByte);
  Window window{.top = -1, .left = 0, .height = 4, .width = 2};
  const at::Tensor mask = filled_mask(plane, window, 4, 2);
  EXPECT_TRUE(at::equal(mask, at::tensor({99, 99, 7, 7, 7, 7, 99, 99}).reshape({4, 2})));
  std::vector<float> out(8);
  fill_image(plane.unsqueeze(0), window, 4, 2, {0.5, 0, 0}, kUnit, out.data());
  EXPECT_EQ(out[0], 0);
  EXPECT_EQ(out[7], 0);
  EXPECT_NEAR(out[2], 7.0 / 255 - 0.5, tolerance::kFp32);
}

// A rectangle in a mask, wherever the window moves it, is where move_box() says.
TEST(Window, BoxesGoWhereTheMaskGoes) {
  const WindowOptions options{.height = 64,
                              .width = 80,
                              .least_scale = 0.6,
                              .most_scale = 1.5,
                              .stretch = 1.4,
                              .horizontal_flip = true,
                              .vertical_flip = true};
  const Box box{20, 12, 33, 30};
  at::Tensor mask = at::zeros({48, 60}, at::kByte);
  mask.slice(0, 12, 30).slice(1, 20, 33).fill_(1);
  int seen = 0;
  for (uint64_t key = 0; key < 100; ++key) {
    const Window window = draw_window(options, 48, 60, key);
    const Box moved = move_box(box, window, 64, 80);
    const at::Tensor places = filled_mask(mask, window, 64, 80, 0).eq(1).nonzero();
    const Box back = move_box_back(moved, window, 64, 80);
    for (size_t k = 0; k < 4; ++k) EXPECT_NEAR(back[k], box[k], 1e-3);
    if (moved[0] < 0 || moved[1] < 0 || moved[2] > 80 || moved[3] > 64) continue;
    ++seen;
    const at::Tensor least = std::get<0>(places.min(0)), most = std::get<0>(places.max(0));
    EXPECT_NEAR(least[0].item<float>(), moved[1], 1);  // rounding of edges: a pixel
    EXPECT_NEAR(least[1].item<float>(), moved[0], 1);
    EXPECT_NEAR(most[0].item<float>() + 1, moved[3], 1);
    EXPECT_NEAR(most[1].item<float>() + 1, moved[2], 1);
  }
  EXPECT_GT(seen, 20);
}

TEST(Window, DrawsDependOnTheKeyAndStayWithinTheOptions) {
  const WindowOptions options{.height = 10, .width = 10, .least_scale = 1.25, .most_scale = 2};
  bool differs = false;
  for (uint64_t key = 0; key < 50; ++key) {
    const Window window = draw_window(options, 40, 80, key),
                 again = draw_window(options, 40, 80, key);
    EXPECT_EQ(window.top, again.top);
    EXPECT_EQ(window.height, again.height);
    EXPECT_GE(window.height, 20 - 1e-9);
    EXPECT_LE(window.height, 32 + 1e-9);
    EXPECT_NEAR(window.width, 2 * window.height, 1e-9);
    EXPECT_GE(window.top, 0);
    EXPECT_LE(window.top + window.height, 40 + 1e-9);
    EXPECT_GE(window.left, 0);
    EXPECT_LE(window.left + window.width, 80 + 1e-9);
    EXPECT_FALSE(window.flip_x || window.flip_y);
    differs = differs || window.top != draw_window(options, 40, 80, key + 1).top;
  }
  EXPECT_TRUE(differs);
}

TEST(Window, OptionsThatMakeNoSenseAreErrors) {
  EXPECT_ERROR(check(WindowOptions{.height = 0}), "window, height: 0; expected 1 or more");
  EXPECT_ERROR(check(WindowOptions{.least_scale = 0}), "window, least_scale: 0");
  EXPECT_ERROR(check(WindowOptions{.least_scale = 2, .most_scale = 1}),
               "window, most_scale: 1; expected least_scale or more");
  EXPECT_ERROR(check(WindowOptions{.stretch = 0.5}), "window, stretch: 0.5");
  EXPECT_ERROR(check(WindowOptions{.contrast = 1}), "window, contrast: 1");
}

}  // namespace
}  // namespace halftone::data
