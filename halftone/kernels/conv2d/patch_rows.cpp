#include "halftone/kernels/conv2d/patch_rows.h"

#include <algorithm>
#include <cstring>

namespace halftone::kernels {
namespace {

// Copies the part of one row of taps that a call asked for. A run is what lies contiguously: all
// columns where they are neighbours in an image without other groups, else one tap.
struct Gather {
  const PatchRows& patch;
  std::int64_t y, x;           // of the grid, times step
  const std::uint16_t* image;  // of this batch entry

  const std::uint16_t* pixel(std::int64_t row, std::int64_t column) const {
    return image + (row * patch.size.w + column) * patch.channels;
  }
};

bool neighbours(const PatchRows& patch) {
  return patch.depth == patch.channels && patch.columns.back() - patch.columns.front() + 1 ==
                                              static_cast<std::int64_t>(patch.columns.size());
}

void put(std::uint16_t*& to, const std::uint16_t* from, std::int64_t count) {
  if (count <= 0) return;
  if (from) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof *to);
  } else {
    std::memset(to, 0, static_cast<std::size_t>(count) * sizeof *to);
  }
  to += count;
}

const std::uint16_t* read_patch(const MatrixRows& self, std::int64_t row, std::int64_t begin,
                                std::int64_t count, std::uint16_t* scratch) {
  const auto& patch = *static_cast<const PatchRows*>(self.context);
  const std::int64_t line = row / patch.grid.w, entry = line / patch.grid.h;
  const Gather at{patch, (line - entry * patch.grid.h) * patch.step.h,
                  (row - line * patch.grid.w) * patch.step.w,
                  patch.image + entry * patch.size.h * patch.size.w * patch.channels};
  const bool merge = neighbours(patch);
  const std::int64_t taps = static_cast<std::int64_t>(patch.columns.size());
  const std::int64_t run = merge ? taps * patch.depth : patch.depth;
  const std::int64_t end = begin + count;
  std::uint16_t* to = scratch;
  std::int64_t index = begin / run, start = index * run;
  for (; start < end; ++index, start += run) {
    const std::int64_t from = std::max(begin, start) - start,
                       until = std::min(end, start + run) - start;
    const std::int64_t tap_row = merge ? index : index / taps;
    const std::int64_t tap_column = merge ? 0 : index - tap_row * taps;
    const std::int64_t y = at.y + patch.rows[static_cast<std::size_t>(tap_row)];
    const std::int64_t x = at.x + patch.columns[static_cast<std::size_t>(tap_column)];
    const std::int64_t width = merge ? taps : 1;
    // [low, high) of the run lies inside the image.
    std::int64_t low = std::clamp<std::int64_t>(-x, 0, width) * patch.depth;
    std::int64_t high = std::clamp<std::int64_t>(patch.size.w - x, 0, width) * patch.depth;
    if (y < 0 || y >= patch.size.h || low >= high) low = high = until;
    low = std::clamp(low, from, until);
    high = std::clamp(high, low, until);
    const std::uint16_t* inside = low < high ? at.pixel(y, x) + low : nullptr;
    if (inside && low == from && high == until && until - from == count) return inside;
    put(to, nullptr, low - from);
    put(to, inside, high - low);
    put(to, nullptr, until - high);
  }
  return scratch;
}

}  // namespace

MatrixRows PatchRows::matrix() const {
  const bool plain = rows.size() == 1 && columns.size() == 1 && rows[0] == 0 && columns[0] == 0 &&
                     step.h == 1 && step.w == 1 && grid.h == size.h && grid.w == size.w;
  return plain ? matrix_rows(image, channels) : MatrixRows{read_patch, nullptr, 0, this};
}

}  // namespace halftone::kernels
