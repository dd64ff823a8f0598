// A raster image with anti-aliased lines, and its PNG.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "halftone/report/line_chart.h"

namespace halftone::report {

using Colour = std::array<unsigned char, 3>;

class Canvas {
 public:
  // White. Throws Error where width or height is not in [1, 16384].
  Canvas(int width, int height);
  // A photograph. rgb: width * height pixels, row by row. Throws Error for another number.
  Canvas(int width, int height, std::vector<unsigned char> rgb);

  // Round ends; coverage falls from 1 to 0 over one pixel at the edge. A single point is a dot.
  void draw_polyline(const std::vector<PixelPoint>& points, double width, Colour colour,
                     const std::vector<double>& dashes = {});
  // Convex, corners in one direction of rotation.
  void fill_polygon(const std::vector<PixelPoint>& corners, Colour colour);
  // anchor: 0 left, 0.5 middle, 1 right end at x; y is the baseline.
  void draw_text(double x, double y, const std::string& text, double size, double anchor,
                 Colour colour, double weight = 1);

  int width() const { return width_; }
  int height() const { return height_; }
  Colour pixel(int x, int y) const;
  // Draws over one pixel. coverage: 0 to 1.
  void blend(int x, int y, double coverage, Colour colour);

  // The file's bytes (8-bit RGB, libpng).
  std::string png() const;

 private:
  void draw_segment(PixelPoint a, PixelPoint b, double width, Colour colour);

  int width_, height_;
  std::vector<unsigned char> rgb_;
};

}  // namespace halftone::report
