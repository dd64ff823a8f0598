// A line chart as an image.
#pragma once

#include "halftone/report/canvas.h"
#include "halftone/report/line_chart.h"

namespace halftone::report {

// Black on white, 1200 × 750 pixels: the same layout as the SVG, with the title above.
Canvas png_line_chart(const LineChart& chart);

}  // namespace halftone::report
