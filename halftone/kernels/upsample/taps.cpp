#include "halftone/kernels/upsample/taps.h"

#include <algorithm>
#include <cmath>

namespace halftone::kernels {
namespace {

constexpr std::int64_t kWidestVector = 16;

std::int64_t padded(std::int64_t count) {
  return (count + kWidestVector - 1) / kWidestVector * kWidestVector;
}

float upsample_ratio(const UpsampleAxis& axis, bool align_corners) {
  if (align_corners) {
    return axis.out > 1 ? static_cast<float>(axis.in - 1) / static_cast<float>(axis.out - 1) : 0;
  }
  return axis.scale > 0 ? static_cast<float>(1.0 / axis.scale)
                        : static_cast<float>(axis.in) / static_cast<float>(axis.out);
}

}  // namespace

std::int64_t UpsampleTaps::bytes(const UpsampleAxis& axis) { return 16 * padded(axis.out); }

UpsampleTaps::UpsampleTaps(const UpsampleAxis& axis, const UpsampleShape& shape, void* memory)
    : in(axis.in), out(axis.out) {
  const std::int64_t count = padded(out);
  low = static_cast<std::int32_t*>(memory), high = low + count;
  low_weight = reinterpret_cast<float*>(high + count), high_weight = low_weight + count;
  std::fill(low, low + 2 * count, 0);
  std::fill(low_weight, low_weight + 2 * count, 0.0f);
  const float ratio = upsample_ratio(axis, shape.align_corners);
  const auto last = static_cast<std::int32_t>(in - 1);
  for (std::int64_t o = 0; o < out; ++o) {
    const auto place = static_cast<float>(o);
    float at = shape.align_corners ? ratio * place : std::max(ratio * (place + 0.5f) - 0.5f, 0.0f);
    if (in == out) at = place;
    low[o] = std::min(static_cast<std::int32_t>(at), last);
    high[o] = in == out ? low[o] : std::min(low[o] + 1, last);
    if (high[o] > low[o]) high_weight[o] = std::clamp(at - static_cast<float>(low[o]), 0.0f, 1.0f);
    low_weight[o] = 1 - high_weight[o];
  }
}

void UpsampleTaps::outputs_at(std::int64_t i, std::int64_t& begin, std::int64_t& end) const {
  begin = std::lower_bound(high, high + out, static_cast<std::int32_t>(i)) - high;
  end = std::upper_bound(low, low + out, static_cast<std::int32_t>(i)) - low;
}

}  // namespace halftone::kernels
