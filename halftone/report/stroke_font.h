// A small font of straight strokes for figures that are drawn without a text library.
#pragma once

#include <string>
#include <vector>

#include "halftone/report/line_chart.h"

namespace halftone::report {

// One stroke is a polyline; a single point is a dot. y grows downwards, the baseline is y = 0.
struct StrokeText {
  std::vector<std::vector<PixelPoint>> strokes;
  double width = 0;
};

// size: height of a capital letter in pixels. ASCII; anything else is drawn as "?".
StrokeText stroke_text(const std::string& text, double size);

}  // namespace halftone::report
