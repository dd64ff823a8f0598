#include "halftone/report/heat_map.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "halftone/base/error.h"
#include "halftone/report/svg_chart.h"

namespace halftone::report {
namespace {

constexpr double kMapWidth = 960, kRowHeight = 15, kLabelFont = 11, kTop = 4, kBottom = 20;
constexpr double kLetter = 0.6;  // of the font's size, on average
constexpr double kMostForLabels = 0.4;

// Calm, attention, danger: green, yellow, dark red, each darker than the one before.
constexpr std::array<std::array<double, 3>, 3> kScale = {
    {{199, 233, 192}, {254, 204, 92}, {165, 15, 21}}};

std::string danger_colour(double danger) {
  if (!(danger >= 0)) return "var(--grid,#ddd)";
  const double place = std::min(danger, 1.0) * 2;
  const auto low = std::min<std::size_t>(1, static_cast<std::size_t>(place));
  const double share = place - static_cast<double>(low);
  char text[8];
  std::array<int, 3> rgb{};
  for (std::size_t i = 0; i < 3; ++i) {
    rgb[i] =
        static_cast<int>(std::lround(kScale[low][i] * (1 - share) + kScale[low + 1][i] * share));
  }
  std::snprintf(text, sizeof text, "#%02x%02x%02x", rgb[0], rgb[1], rgb[2]);
  return text;
}

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

std::string label(double x, double y, const char* anchor, const std::string& text) {
  return "<text x=\"" + number_text(x) + "\" y=\"" + number_text(y) + "\" text-anchor=\"" + anchor +
         "\">" + escape_markup(text) + "</text>\n";
}

void check(const HeatMap& map) {
  bool right = map.cells.size() == map.rows.size();
  for (const auto& row : map.cells) right = right && row.size() == map.columns.size();
  if (!right) {
    throw Error("cells of another shape",
                std::to_string(map.rows.size()) + " × " + std::to_string(map.columns.size()),
                "heat map " + map.title);
  }
}

}  // namespace

std::string svg_heat_map(const HeatMap& map) {
  check(map);
  std::size_t longest = 0;
  for (const std::string& row : map.rows) longest = std::max(longest, row.size());
  const double left = std::min(kMostForLabels * kMapWidth,
                               static_cast<double>(longest) * kLabelFont * kLetter + 12);
  const auto columns = static_cast<double>(std::max<std::size_t>(1, map.columns.size()));
  const double width = (kMapWidth - left) / columns;
  const double height = kTop + kRowHeight * static_cast<double>(map.rows.size()) + kBottom;
  std::string svg = "<svg viewBox=\"0 0 " + number_text(kMapWidth) + " " + number_text(height) +
                    "\" role=\"img\" font-size=\"11\" fill=\"var(--ink,#222)\" aria-label=\"" +
                    escape_markup(map.title) + "\">\n";
  for (std::size_t r = 0; r < map.rows.size(); ++r) {
    const double y = kTop + kRowHeight * static_cast<double>(r);
    svg += label(left - 6, y + kRowHeight - 4, "end", map.rows[r]);
    for (std::size_t c = 0; c < map.columns.size(); ++c) {
      const HeatMap::Cell& cell = map.cells[r][c];
      svg += "<rect x=\"" + number_text(left + width * static_cast<double>(c)) + "\" y=\"" +
             number_text(y) + "\" width=\"" + number_text(width) + "\" height=\"" +
             number_text(kRowHeight - 1) + "\" fill=\"" + danger_colour(cell.danger) +
             "\"><title>" +
             escape_markup(map.rows[r] + ", step " + map.columns[c] + ": " + cell.text) +
             "</title></rect>\n";
    }
  }
  if (!map.columns.empty()) {
    svg += label(left, height - 6, "start", "step " + map.columns.front());
    if (map.columns.size() > 1) svg += label(kMapWidth, height - 6, "end", map.columns.back());
  }
  return svg + "</svg>\n";
}

}  // namespace halftone::report
