// Many small images as one picture.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace halftone::tasks {

// images: (N, 1 or 3, H, W) in [-1, 1]; `columns` beside one another, each pixel twice as wide and
// high, a light frame between them -> a PNG's bytes. Throws Error for another shape.
std::string image_grid(const at::Tensor& images, std::int64_t columns);

}  // namespace halftone::tasks
