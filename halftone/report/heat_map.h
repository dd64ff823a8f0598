// A heat map as SVG: rows down, columns across, each cell from calm to danger.
#pragma once

#include <string>
#include <vector>

namespace halftone::report {

struct HeatMap {
  std::string title;
  std::vector<std::string> rows, columns;
  struct Cell {
    double danger = -1;  // 0 to 1; below 0: nothing is known
    std::string text;    // shown on hovering
  };
  std::vector<std::vector<Cell>> cells;  // [row][column]
};

// One <svg> element without width and height (it fills its container). Danger goes from green over
// yellow to red, readable without colour by the cells' darkness. Text is escaped.
// Throws Error where the cells are not rows × columns.
std::string svg_heat_map(const HeatMap& map);

}  // namespace halftone::report
