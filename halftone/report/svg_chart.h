// A line chart as SVG text.
#pragma once

#include <string>

#include "halftone/report/line_chart.h"

namespace halftone::report {

// One <svg> element without width and height (it fills its container; 480 × 300 units). Colours
// are CSS variables with fallbacks: --ink, --grid, --line0 to --line3, so that the page decides
// between light and dark. Text is escaped.
std::string svg_line_chart(const LineChart& chart);

// Escapes &, <, > and quotes for HTML and SVG text and attributes.
std::string escape_markup(const std::string& text);

}  // namespace halftone::report
