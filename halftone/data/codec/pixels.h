// A decoded image.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/data/codec/bytes.h"

namespace halftone::data {

struct Pixels {
  int64_t channels = 0, height = 0, width = 0;
  std::vector<uint8_t> chw;  // channel by channel, row by row
};

// No image is decoded that has more pixels: 128 million, 400 MB in colour. A header of some bytes
// must not make a program ask for all memory.
inline constexpr uint64_t kMostPixels = uint64_t{1} << 27;

inline void check_extent(uint64_t height, uint64_t width, const std::string& name) {
  if (height > 0 && width > 0 && height <= kMostPixels / width) return;
  throw Error("an image of " + std::to_string(width) + "x" + std::to_string(height),
              "1 to " + std::to_string(kMostPixels) + " pixels", name);
}

// Row `y` of `pixels`, whose extents are set, from interleaved samples with `stride` per pixel.
inline void store_row(const uint8_t* row, int64_t stride, int64_t y, Pixels& pixels) {
  for (int64_t c = 0; c < pixels.channels; ++c) {
    uint8_t* out = pixels.chw.data() + (c * pixels.height + y) * pixels.width;
    for (int64_t x = 0; x < pixels.width; ++x) out[x] = row[x * stride + c];
  }
}

}  // namespace halftone::data
