#include <algorithm>
#include <numeric>

#include "halftone/kernels/batch_norm/passes.h"

namespace halftone::kernels {
namespace {

constexpr std::int64_t kLanesAtMost = 16;
// Shorter rows than four vectors leave the adders waiting for the sums of the row before.
constexpr std::int64_t kShortRow = 4 * kLanesAtMost;
// Longer rows gain nothing: their tail is below 1 %; their coefficients leave L1.
constexpr std::int64_t kLongRow = 2048;
// 64 rows: partial sums are 6 % of what is read; 512: fp32 sums stay right to 1e-5; between them,
// enough blocks for any number of threads.
constexpr std::int64_t kFewRows = 64, kManyRows = 512, kBlocks = 128;
// Elements: less than some 10 us of work isn't handed to a thread.
constexpr std::int64_t kSerial = 65536;

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

BatchNormPlan::BatchNormPlan(const BatchNormShape& shape)
    : columns(shape.channels_last || shape.plane == 1),
      channels(shape.channels),
      copies(1),
      width(shape.channels),
      length(shape.plane),
      block_rows(0),
      segments(1),
      items(0),
      groups(0),
      count(shape.batch * shape.plane),
      grain(1) {
  if (count == 0 || channels == 0) return;
  if (!columns) {
    segments = divide_up(length, kSegment);
    groups = shape.batch * segments;
    items = groups * channels;
    grain = std::max<std::int64_t>(1, kSerial / std::min(length, kSegment));
    return;
  }
  const std::int64_t whole = kLanesAtMost / std::gcd(channels, kLanesAtMost);
  if (whole * channels <= kLongRow) {
    copies = whole * divide_up(kShortRow, whole * channels);
    width = copies * channels;
  }
  length = count * channels;
  const std::int64_t rows = divide_up(length, width);
  block_rows = std::clamp(rows / kBlocks, kFewRows, kManyRows);
  groups = items = divide_up(rows, block_rows);
  grain = std::max<std::int64_t>(1, kSerial / (block_rows * width));
}

}  // namespace halftone::kernels
