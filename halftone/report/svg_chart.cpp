#include "halftone/report/svg_chart.h"

#include <cstdio>

namespace halftone::report {
namespace {

constexpr double kWidth = 480, kHeight = 300, kFont = 14, kMarkerRadius = 3.6;

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  std::string result = text;
  if (result.ends_with(".0")) result.resize(result.size() - 2);
  return result;
}

std::string points_text(const std::vector<PixelPoint>& points) {
  std::string text;
  for (const auto& p : points) text += (text.empty() ? "" : " ") + number(p.x) + "," + number(p.y);
  return text;
}

std::string colour(std::size_t n) {
  const auto rgb = line_colour(n);
  char text[40];
  std::snprintf(text, sizeof text, "var(--line%zu,#%02x%02x%02x)", n % 4, rgb[0], rgb[1], rgb[2]);
  return text;
}

std::string text_at(double x, double y, const char* anchor, const std::string& text,
                    const std::string& style = "") {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" + anchor + "\"" +
         (style.empty() ? "" : " style=\"" + style + "\"") + ">" + escape_markup(text) +
         "</text>\n";
}

std::string rule(double x1, double y1, double x2, double y2, const char* stroke) {
  return "<line x1=\"" + number(x1) + "\" y1=\"" + number(y1) + "\" x2=\"" + number(x2) +
         "\" y2=\"" + number(y2) + "\" stroke=\"" + stroke + "\"/>\n";
}

std::string axes(const LineChart& chart, const ChartLayout& layout) {
  constexpr const char* kGrid = "var(--grid,#d9dce1)";
  constexpr const char* kInk = "var(--ink,#22262b)";
  std::string svg;
  for (std::size_t i = 0; i < layout.y.ticks.size(); ++i) {
    const double y = layout.y_pixel(layout.y.ticks[i]);
    svg += rule(layout.left, y, layout.right, y, kGrid);
    svg += text_at(layout.left - kFont * 0.5, y + kFont * 0.35, "end", layout.y.labels[i]);
  }
  for (std::size_t i = 0; i < layout.x.ticks.size(); ++i) {
    const double x = layout.x_pixel(layout.x.ticks[i]);
    svg += rule(x, layout.bottom, x, layout.bottom + 4, kInk);
    svg += text_at(x, layout.bottom + kFont * 1.3, "middle", layout.x.labels[i]);
  }
  svg += rule(layout.left, layout.bottom, layout.right, layout.bottom, kInk);
  svg += text_at((layout.left + layout.right) / 2, layout.height - kFont * 0.4, "middle",
                 chart.x_label);
  svg += text_at(4, kFont * 1.2, "start", chart.y_label);
  return svg;
}

std::string curve(const LaidLine& line, std::size_t n) {
  std::string dashes;
  for (double length : line_dashes(n)) dashes += (dashes.empty() ? "" : " ") + number(length);
  std::string svg;
  std::vector<std::vector<PixelPoint>> strokes = line.runs;
  strokes.push_back(line.sample);
  for (const auto& run : strokes) {
    svg += "<polyline fill=\"none\" stroke-width=\"2\" stroke-linejoin=\"round\" style=\"stroke:" +
           colour(n) + "\"" + (dashes.empty() ? "" : " stroke-dasharray=\"" + dashes + "\"") +
           " points=\"" + points_text(run) + "\"/>\n";
  }
  for (const auto& centre : line.markers) {
    std::vector<PixelPoint> outline;
    for (const auto& p : marker_outline(n)) {
      outline.push_back({centre.x + kMarkerRadius * p.x, centre.y + kMarkerRadius * p.y});
    }
    svg += "<polygon style=\"fill:" + colour(n) + "\" points=\"" + points_text(outline) + "\"/>\n";
  }
  return svg + text_at(line.label.x, line.label.y + kFont * 0.35, "start", line.name,
                       "fill:" + colour(n) + ";font-weight:600");
}

}  // namespace

std::string escape_markup(const std::string& text) {
  std::string result;
  for (char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string svg_line_chart(const LineChart& chart) {
  const ChartLayout layout = lay_out(chart, kWidth, kHeight, kFont);
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(kWidth) +
                    " " + number(kHeight) + "\" role=\"img\" font-family=\"sans-serif\" " +
                    "font-size=\"" + number(kFont) + "\" fill=\"var(--ink,#22262b)\">\n<title>" +
                    escape_markup(chart.title) + "</title>\n";
  svg += axes(chart, layout);
  for (std::size_t n = 0; n < layout.lines.size(); ++n) svg += curve(layout.lines[n], n);
  return svg + "</svg>\n";
}

}  // namespace halftone::report
