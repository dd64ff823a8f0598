// The matrix whose row p holds what a window sees at position p of a grid: the pixels (y * step.h +
// rows[i], x * step.w + columns[j]) of an image, `depth` channels of each; zeros outside.
#pragma once

#include <vector>

#include "halftone/kernels/conv2d/conv2d.h"
#include "halftone/kernels/product/product.h"

namespace halftone::kernels {

struct PatchRows {
  const std::uint16_t* image = nullptr;  // its first channel of the group
  Pair2d size;                           // of the image
  std::int64_t channels = 0;             // from pixel to pixel
  std::int64_t depth = 0;                // of the group
  Pair2d grid;
  Pair2d step;
  std::vector<std::int64_t> rows, columns;  // offsets of the taps, ascending

  std::int64_t length() const {
    return static_cast<std::int64_t>(rows.size() * columns.size()) * depth;
  }

  // Row (image * grid.h + y) * grid.w + x. Refers to *this.
  MatrixRows matrix() const;
};

}  // namespace halftone::kernels
