#include "halftone/report/png_chart.h"

namespace halftone::report {
namespace {

constexpr double kWidth = 1200, kHeight = 700, kFont = 30, kTitleHeight = 50;
constexpr double kCapital = kFont * 0.6;  // a capital's share of the font size
constexpr Colour kInk{0x22, 0x26, 0x2b}, kGrid{0xd9, 0xdc, 0xe1};

std::vector<PixelPoint> moved(std::vector<PixelPoint> points, double scale, PixelPoint by) {
  for (auto& p : points) p = {p.x * scale + by.x, p.y * scale + by.y};
  return points;
}

void draw_axes(Canvas& canvas, const LineChart& chart, const ChartLayout& layout) {
  const auto y_of = [&](double y) { return y + kTitleHeight; };
  for (std::size_t i = 0; i < layout.y.ticks.size(); ++i) {
    const double y = y_of(layout.y_pixel(layout.y.ticks[i]));
    canvas.draw_polyline({{layout.left, y}, {layout.right, y}}, 1.5, kGrid);
    canvas.draw_text(layout.left - kFont * 0.5, y + kCapital / 2, layout.y.labels[i], kCapital, 1,
                     kInk);
  }
  const double base = y_of(layout.bottom);
  for (std::size_t i = 0; i < layout.x.ticks.size(); ++i) {
    const double x = layout.x_pixel(layout.x.ticks[i]);
    canvas.draw_polyline({{x, base}, {x, base + 8}}, 2, kInk);
    canvas.draw_text(x, base + kFont * 1.25, layout.x.labels[i], kCapital, 0.5, kInk);
  }
  canvas.draw_polyline({{layout.left, base}, {layout.right, base}}, 2, kInk);
  canvas.draw_text((layout.left + layout.right) / 2, y_of(layout.height - kFont * 0.4),
                   chart.x_label, kCapital, 0.5, kInk);
  canvas.draw_text(10, y_of(kFont), chart.y_label, kCapital, 0, kInk);
}

void draw_curve(Canvas& canvas, const LaidLine& line, std::size_t n) {
  constexpr double kLineWidth = 4, kMarkerRadius = 8;
  std::vector<double> dashes = line_dashes(n);
  for (double& length : dashes) length *= 2.4;
  for (const auto& run : line.runs) {
    canvas.draw_polyline(moved(run, 1, {0, kTitleHeight}), kLineWidth, line_colour(n), dashes);
  }
  canvas.draw_polyline(moved(line.sample, 1, {0, kTitleHeight}), kLineWidth, line_colour(n),
                       dashes);
  for (const auto& centre : line.markers) {
    canvas.fill_polygon(
        moved(marker_outline(n), kMarkerRadius, {centre.x, centre.y + kTitleHeight}),
        line_colour(n));
  }
  canvas.draw_text(line.label.x, line.label.y + kTitleHeight + kCapital / 2, line.name, kCapital, 0,
                   line_colour(n), 1.4);
}

}  // namespace

Canvas png_line_chart(const LineChart& chart) {
  Canvas canvas(static_cast<int>(kWidth), static_cast<int>(kHeight + kTitleHeight));
  const ChartLayout layout = lay_out(chart, kWidth, kHeight, kFont);
  canvas.draw_text(10, kFont * 1.2, chart.title, kCapital * 1.1, 0, kInk, 1.4);
  draw_axes(canvas, chart, layout);
  for (std::size_t n = 0; n < layout.lines.size(); ++n) draw_curve(canvas, layout.lines[n], n);
  return canvas;
}

}  // namespace halftone::report
