#include "halftone/report/line_chart.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace halftone::report {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kGlyphWidth = 0.62;   // of the font size: generous for sans-serif digits and names
constexpr double kSampleLength = 1.8;  // in font sizes: a dash, a gap and a dash
constexpr std::size_t kMostMarkers = 24;

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void add(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  Axis axis(int count, double margin) const {
    if (low > high) return make_axis(0, 1, count);
    const double room = (high - low) * margin;
    return make_axis(low - room, high + room, count);
  }
};

double text_width(const std::string& text, double font_size) {
  return static_cast<double>(text.size()) * kGlyphWidth * font_size;
}

void set_axes(const LineChart& chart, ChartLayout& layout, double font_size) {
  Range x, y;
  for (const Series& series : chart.series) {
    for (double value : series.x) x.add(value);
    for (double value : series.y) y.add(value);
  }
  layout.x = x.axis(static_cast<int>(layout.width / (font_size * 6)), 0);
  layout.y = y.axis(static_cast<int>(layout.height / (font_size * 3.5)), 0.05);
}

void set_margins(const LineChart& chart, ChartLayout& layout, double font_size) {
  double tick_width = 0, name_width = 0;
  for (const auto& label : layout.y.labels) {
    tick_width = std::max(tick_width, text_width(label, font_size));
  }
  for (const auto& series : chart.series) {
    name_width = std::max(name_width, text_width(series.name, font_size));
  }
  layout.left = tick_width + font_size;
  layout.right = layout.width - name_width - (0.5 + kSampleLength + 0.5) * font_size;
  layout.top = font_size * 2.2;
  layout.bottom = layout.height - font_size * 3;
}

LaidLine lay_line(const Series& series, const ChartLayout& layout) {
  LaidLine line;
  line.name = series.name;
  bool joined = false;
  const std::size_t stride = series.x.size() / (kMostMarkers + 1) + 1;
  for (std::size_t i = 0; i < series.x.size(); ++i) {
    if (!std::isfinite(series.x[i]) || !std::isfinite(series.y[i])) {
      joined = false;
      continue;
    }
    if (!joined) line.runs.emplace_back();
    joined = true;
    const PixelPoint point{layout.x_pixel(series.x[i]), layout.y_pixel(series.y[i])};
    line.runs.back().push_back(point);
    if (series.markers && (series.x.size() - 1 - i) % stride == 0) line.markers.push_back(point);
  }
  line.label = {layout.right, layout.bottom};
  if (!line.runs.empty()) line.label = line.runs.back().back();
  return line;
}

// Labels keep their order from top to bottom and stand at least one line height apart.
void separate_labels(ChartLayout& layout, double font_size) {
  std::vector<std::size_t> order(layout.lines.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return layout.lines[a].label.y < layout.lines[b].label.y;
  });
  const double gap = font_size * 1.15;
  double floor = layout.top;
  for (std::size_t i : order) {
    auto& label = layout.lines[i].label;
    label.x += font_size * 0.6;
    label.y = std::max(label.y, floor);
    floor = label.y + gap;
  }
  double ceiling = layout.bottom;
  for (auto i = order.rbegin(); i != order.rend(); ++i) {
    auto& label = layout.lines[*i].label;
    label.y = std::min(label.y, ceiling);
    ceiling = label.y - gap;
  }
  for (auto& line : layout.lines) {
    line.sample = {line.label, {line.label.x + kSampleLength * font_size, line.label.y}};
    line.label.x += (kSampleLength + 0.4) * font_size;
  }
}

std::vector<PixelPoint> polygon(int corners, double start) {
  std::vector<PixelPoint> outline;
  for (int i = 0; i < corners; ++i) {
    const double angle = start + 2 * kPi * i / corners;
    outline.push_back({std::cos(angle), std::sin(angle)});
  }
  return outline;
}

}  // namespace

Series thinned(const Series& series, std::size_t points) {
  if (series.x.size() <= points || points == 0) return series;
  Series result;
  result.name = series.name;
  result.markers = series.markers;
  for (std::size_t bucket = 0; bucket < points; ++bucket) {
    const std::size_t begin = bucket * series.x.size() / points;
    const std::size_t end = (bucket + 1) * series.x.size() / points;
    double x = 0, y = 0;
    std::size_t finite = 0;
    for (std::size_t i = begin; i < end; ++i) {
      x += series.x[i];
      if (!std::isfinite(series.y[i])) continue;
      y += series.y[i];
      ++finite;
    }
    result.x.push_back(x / static_cast<double>(end - begin));
    result.y.push_back(finite ? y / static_cast<double>(finite) : std::nan(""));
  }
  return result;
}

double ChartLayout::x_pixel(double value) const {
  return left + (value - x.low) / (x.high - x.low) * (right - left);
}

double ChartLayout::y_pixel(double value) const {
  return bottom - (value - y.low) / (y.high - y.low) * (bottom - top);
}

ChartLayout lay_out(const LineChart& chart, double width, double height, double font_size) {
  ChartLayout layout;
  layout.width = width;
  layout.height = height;
  set_axes(chart, layout, font_size);
  set_margins(chart, layout, font_size);
  for (const Series& series : chart.series) layout.lines.push_back(lay_line(series, layout));
  separate_labels(layout, font_size);
  return layout;
}

const std::vector<double>& line_dashes(std::size_t n) {
  static const std::vector<std::vector<double>> dashes{{}, {7, 4}, {2, 3}, {9, 3, 2, 3}};
  return dashes[n % dashes.size()];
}

const std::vector<PixelPoint>& marker_outline(std::size_t n) {
  static const std::vector<std::vector<PixelPoint>> outlines{polygon(16, 0), polygon(4, kPi / 4),
                                                             polygon(3, -kPi / 2), polygon(4, 0)};
  return outlines[n % outlines.size()];
}

std::array<unsigned char, 3> line_colour(std::size_t n) {
  static constexpr std::array<std::array<unsigned char, 3>, 4> colours{
      {{0x1d, 0x5f, 0xa6}, {0xb9, 0x45, 0x0b}, {0x2c, 0x72, 0x3a}, {0x6f, 0x42, 0x97}}};
  return colours[n % colours.size()];
}

}  // namespace halftone::report
