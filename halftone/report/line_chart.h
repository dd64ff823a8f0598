// A line chart as data, and its layout in pixels, which the SVG and the PNG share.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "halftone/report/axis.h"

namespace halftone::report {

// One curve; x ascending, as long as y. Values that are not finite break the line.
struct Series {
  std::string name;
  std::vector<double> x, y;
  bool markers = true;
};

// Curves are told apart by dashes, markers and a label with a sample of the line at their end;
// colour is an addition.
struct LineChart {
  std::string title, x_label, y_label;
  std::vector<Series> series;
};

// At most `points` points, each the mean of equally many neighbours (non-finite ones left out).
Series thinned(const Series& series, std::size_t points);

struct PixelPoint {
  double x = 0, y = 0;
};

struct LaidLine {
  std::string name;
  std::vector<std::vector<PixelPoint>> runs;  // polylines between the breaks
  std::vector<PixelPoint> markers;
  PixelPoint label;                // left end, middle height of the text
  std::vector<PixelPoint> sample;  // a piece of the line in front of the label
};

struct ChartLayout {
  double width = 0, height = 0;                     // of the whole figure
  double left = 0, right = 0, top = 0, bottom = 0;  // of the plotting area
  Axis x, y;
  std::vector<LaidLine> lines;

  double x_pixel(double value) const;
  double y_pixel(double value) const;
};

// width, height and font_size in pixels; labels of curves that end close together are moved apart.
ChartLayout lay_out(const LineChart& chart, double width, double height, double font_size);

// Dash lengths in pixels of the n-th curve, even entries drawn; empty: solid. Repeats after four.
const std::vector<double>& line_dashes(std::size_t n);

// Outline of the n-th curve's marker around the origin, of radius 1, closed.
const std::vector<PixelPoint>& marker_outline(std::size_t n);

// The n-th curve's colour on a light background, "#rrggbb" as three bytes.
std::array<unsigned char, 3> line_colour(std::size_t n);

}  // namespace halftone::report
