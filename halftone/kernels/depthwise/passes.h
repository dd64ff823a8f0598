// What a rung does, line by line, and the loops over it that all rungs share.
#pragma once

#include <cstdint>

#include "halftone/kernels/conv2d/conv2d.h"

namespace halftone::kernels {

// Columns of the lines that are read: position p of the other line and tap t meet at column
// p * step + first + t * spread, of which those in [0, width) exist.
struct DepthwiseColumns {
  std::int64_t width, step, first, spread, taps;
};

// Pixels that the next line will read, to be fetched into the cache meanwhile: a block's pixels of
// one vector of channels after the other are no stream that the processor would fetch by itself.
struct DepthwiseAhead {
  const std::uint16_t* first;
  std::int64_t pixels;
};

// A line of outputs: the sum over planes, their `rows` lines and the taps of source times weight.
// Distances in elements. Out of [first, first + count) pixels, each holds `channels` elements that
// are worked on, `pitch` apart.
struct DepthwiseLine {
  HalfFormat format;
  std::int64_t channels, pitch;
  DepthwiseColumns columns;
  std::int64_t planes, rows;
  const std::uint16_t* source;
  std::int64_t source_plane, source_row;
  const float* weight;
  std::int64_t weight_plane, weight_row, weight_tap;
  const float* bias;  // or null
  std::uint16_t* out;
  std::int64_t out_pitch, count;
  DepthwiseAhead ahead;
};

// sums[row * taps + tap][channel] += the sum over a line of dy of dy times x.
struct DepthwiseGradientLine {
  HalfFormat format;
  std::int64_t channels, pitch;
  DepthwiseColumns columns;  // of x
  std::int64_t rows;
  const std::uint16_t* x;
  std::int64_t x_row;
  const std::uint16_t* dy;
  std::int64_t count;  // pixels of dy
  float* sums;         // channels from tap to tap
  DepthwiseAhead ahead, ahead_dy;
};

struct DepthwisePasses {
  void (*line)(const DepthwiseLine& line);
  void (*gradient)(const DepthwiseGradientLine& line);
  void (*widen)(HalfFormat, const std::uint16_t* from, std::int64_t count, float* to);
  void (*narrow)(HalfFormat, const float* from, std::int64_t count, std::uint16_t* to);
};

void depthwise_forward_by(const DepthwisePasses& passes, const Conv2dArgs& args);
void depthwise_backward_data_by(const DepthwisePasses& passes, const Conv2dArgs& args);
void depthwise_backward_weights_by(const DepthwisePasses& passes, const Conv2dArgs& args);

// Multiply-adds that one task should have at least: some 20 us of rung avx512.
constexpr std::int64_t kDepthwiseGrain = 1 << 20;

// Taps k of [first, first + count) whose line base + k * spread lies in [0, size).
struct DepthwiseRange {
  std::int64_t first, count;
};
// `lines` of an image's `total` lines from line `from` on, as far as they exist.
DepthwiseAhead depthwise_ahead(const std::uint16_t* image, std::int64_t from, std::int64_t lines,
                               std::int64_t total, std::int64_t width, std::int64_t pitch);

DepthwiseRange depthwise_inside(std::int64_t base, std::int64_t spread, std::int64_t taps,
                                std::int64_t size);

}  // namespace halftone::kernels
