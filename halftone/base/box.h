// Boxes around what is in an image.
#pragma once

#include <algorithm>
#include <array>

namespace halftone {

// left, top, right, bottom: edges, in pixels.
using Box = std::array<float, 4>;

// In fp64.
inline double box_area(const Box& box) {
  return (static_cast<double>(box[2]) - box[0]) * (static_cast<double>(box[3]) - box[1]);
}

// Intersection over union; 0 where the boxes have nothing in common.
inline double box_iou(const Box& a, const Box& b) {
  const double width = static_cast<double>(std::min(a[2], b[2])) - std::max(a[0], b[0]);
  const double height = static_cast<double>(std::min(a[3], b[3])) - std::max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const double both = width * height;
  return both / (box_area(a) + box_area(b) - both);
}

}  // namespace halftone
