#include "halftone/report/png_chart.h"

namespace halftone::report {
namespace {

constexpr double kPngWidth = 1200, kPngHeight = 700, kPngFont = 30, kPngTitleHeight = 50;
constexpr double kPngCapital = kPngFont * 0.6;  // a capital's share of the font size
constexpr Colour kInk{0x22, 0x26, 0x2b}, kGrid{0xd9, 0xdc, 0xe1};

std::vector<PixelPoint> moved(std::vector<PixelPoint> points, double scale, PixelPoint by) {
  for (auto& p : points) p = {p.x * scale + by.x, p.y * scale + by.y};
  return points;
}

void draw_axes(Canvas& canvas, const LineChart& chart, const ChartLayout& layout) {
  const auto y_of = [&](double y) { return y + kPngTitleHeight; };
  for (std::size_t i = 0; i < layout.y.ticks.size(); ++i) {
    const double y = y_of(layout.y_pixel(layout.y.ticks[i]));
    canvas.draw_polyline({{layout.left, y}, {layout.right, y}}, 1.5, kGrid);
    canvas.draw_text(layout.left - kPngFont * 0.5, y + kPngCapital / 2, layout.y.labels[i],
                     kPngCapital, 1, kInk);
  }
  const double base = y_of(layout.bottom);
  for (std::size_t i = 0; i < layout.x.ticks.size(); ++i) {
    const double x = layout.x_pixel(layout.x.ticks[i]);
    canvas.draw_polyline({{x, base}, {x, base + 8}}, 2, kInk);
    canvas.draw_text(x, base + kPngFont * 1.25, layout.x.labels[i], kPngCapital, 0.5, kInk);
  }
  canvas.draw_polyline({{layout.left, base}, {layout.right, base}}, 2, kInk);
  canvas.draw_text((layout.left + layout.right) / 2, y_of(layout.height - kPngFont * 0.4),
                   chart.x_label, kPngCapital, 0.5, kInk);
  canvas.draw_text(10, y_of(kPngFont), chart.y_label, kPngCapital, 0, kInk);
}

void draw_curve(Canvas& canvas, const LaidLine& line, std::size_t n) {
  constexpr double kLineWidth = 4, kMarkerRadius = 8;
  std::vector<double> dashes = line_dashes(n);
  for (double& length : dashes) length *= 2.4;
  for (const auto& run : line.runs) {
    canvas.draw_polyline(moved(run, 1, {0, kPngTitleHeight}), kLineWidth, line_colour(n), dashes);
  }
  canvas.draw_polyline(moved(line.sample, 1, {0, kPngTitleHeight}), kLineWidth, line_colour(n),
                       dashes);
  for (const auto& centre : line.markers) {
    canvas.fill_polygon(
        moved(marker_outline(n), kMarkerRadius, {centre.x, centre.y + kPngTitleHeight}),
        line_colour(n));
  }
  canvas.draw_text(line.label.x, line.label.y + kPngTitleHeight + kPngCapital / 2, line.name,
                   kPngCapital, 0, line_colour(n), 1.4);
}

}  // namespace

Canvas png_line_chart(const LineChart& chart) {
  Canvas canvas(static_cast<int>(kPngWidth), static_cast<int>(kPngHeight + kPngTitleHeight));
  const ChartLayout layout = lay_out(chart, kPngWidth, kPngHeight, kPngFont);
  canvas.draw_text(10, kPngFont * 1.2, chart.title, kPngCapital * 1.1, 0, kInk, 1.4);
  draw_axes(canvas, chart, layout);
  for (std::size_t n = 0; n < layout.lines.size(); ++n) draw_curve(canvas, layout.lines[n], n);
  return canvas;
}

}  // namespace halftone::report
