#include "halftone/report/canvas.h"

#include <png.h>

#include <cstring>

#include "halftone/report/png_chart.h"
#include "halftone/report/stroke_font.h"
#include "tests/support/test.h"

namespace halftone::report {
namespace {

// The image as libpng's simplified reader sees it; empty where it refuses.
std::vector<unsigned char> decode(const std::string& bytes, unsigned& width, unsigned& height) {
  png_image image;
  std::memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  if (!png_image_begin_read_from_memory(&image, bytes.data(), bytes.size())) return {};
  image.format = PNG_FORMAT_RGB;
  std::vector<unsigned char> rgb(PNG_IMAGE_SIZE(image));
  if (!png_image_finish_read(&image, nullptr, rgb.data(), 0, nullptr)) return {};
  width = image.width;
  height = image.height;
  return rgb;
}

TEST(Canvas, PngHoldsThePixels) {
  Canvas canvas(20, 10);
  canvas.draw_polyline({{2, 5}, {18, 5}}, 4, {10, 20, 30});
  unsigned width = 0, height = 0;
  const auto rgb = decode(canvas.png(), width, height);
  ASSERT_EQ(rgb.size(), 600u);
  EXPECT_EQ(width, 20u);
  EXPECT_EQ(height, 10u);
  EXPECT_EQ(rgb[(5 * 20 + 10) * 3 + 2], 30);
  EXPECT_EQ(rgb[0], 255);
}

TEST(Canvas, DashesLeaveGaps) {
  Canvas canvas(100, 5);
  canvas.draw_polyline({{0, 2.5}, {100, 2.5}}, 2, {0, 0, 0}, {10, 10});
  EXPECT_EQ(canvas.pixel(5, 2)[0], 0);
  EXPECT_EQ(canvas.pixel(15, 2)[0], 255);
  EXPECT_EQ(canvas.pixel(25, 2)[0], 0);
}

TEST(Canvas, PolygonIsFilledInsideAlone) {
  Canvas canvas(40, 40);
  canvas.fill_polygon({{10, 10}, {30, 10}, {30, 30}, {10, 30}}, {0, 0, 0});
  EXPECT_EQ(canvas.pixel(20, 20)[0], 0);
  EXPECT_EQ(canvas.pixel(5, 20)[0], 255);
  EXPECT_EQ(canvas.pixel(35, 20)[0], 255);
}

TEST(Canvas, DrawingOutsideIsClipped) {
  Canvas canvas(8, 8);
  canvas.draw_polyline({{-100, -100}, {100, 100}}, 3, {0, 0, 0});
  canvas.draw_text(-20, 4, "beyond", 10, 0, {0, 0, 0});
  EXPECT_EQ(canvas.pixel(4, 4)[0], 0);
}

TEST(Canvas, ImpossibleSizeIsAnError) { EXPECT_ERROR(Canvas(0, 5), "0 x 5; expected 1 to 16384"); }

TEST(StrokeFont, EveryPrintableCharacterButSpaceHasStrokes) {
  for (char c = '!'; c <= '~'; ++c) {
    EXPECT_FALSE(stroke_text(std::string(1, c), 10).strokes.empty()) << c;
  }
  EXPECT_GT(stroke_text("WW", 10).width, stroke_text("W", 10).width);
}

TEST(PngChart, DrawsEachCurveInItsColour) {
  const Canvas canvas = png_line_chart(
      {"Accuracy", "epoch", "%", {{"fp32", {1, 2}, {80, 90}}, {"bf16", {1, 2}, {81, 80}}}});
  int found[2] = {0, 0};
  for (int y = 0; y < canvas.height(); ++y) {
    for (int x = 0; x < canvas.width(); ++x) {
      for (std::size_t n = 0; n < 2; ++n) found[n] += canvas.pixel(x, y) == line_colour(n);
    }
  }
  EXPECT_GT(found[0], 500);
  EXPECT_GT(found[1], 500);
}

}  // namespace
}  // namespace halftone::report
