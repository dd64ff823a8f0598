// Batch normalisation as passes over memory (a rung's part, passes.inl.h) and what is done once per
// channel between them (driver.cpp, for all rungs).
#pragma once

#include <cstdint>

#include "halftone/kernels/batch_norm/batch_norm.h"

namespace halftone::kernels {

// How a shape is cut, by the shape alone.
//
// channels_last: a flat array is read as rows of `width` = `copies` * channels elements, so that
// rows of few channels, or of a number of channels that vectors don't divide, become long ones; the
// last may be cut short. Column j belongs to channel j % channels. One item of work: `block_rows`
// rows. Otherwise: planes, cut into `segments` of at most kSegment elements; one item each.
// Partial sums: [groups][2][width].
struct BatchNormPlan {
  explicit BatchNormPlan(const BatchNormShape& shape);

  bool columns;
  std::int64_t channels, copies, width;
  std::int64_t length;  // columns: of the flat array; else of a plane
  std::int64_t block_rows, segments;
  std::int64_t items, groups;
  std::int64_t count;  // elements of one channel
  std::int64_t grain;  // items below which a thread isn't worth while

  static constexpr std::int64_t kSegment = 16384;
};

// Sums for every column of a group. dy null: of x - center and its square. Else of g and
// g * (x - center); g is written to `masked` where that isn't null.
struct BatchNormSums {
  HalfFormat format;
  const std::uint16_t *x, *dy, *y;
  BatchNormMask mask;
  std::uint16_t* masked;
  const float* center;         // [width]
  const float *scale, *shift;  // [width], BatchNormMask::input
  float* partial;
};

// y = relu(x * scale + shift + residual).
struct BatchNormApply {
  HalfFormat format;
  const std::uint16_t *x, *residual;
  bool relu;
  std::uint16_t* y;
  const float *scale, *shift;  // [width]
};

// dx = g * factor + (x * slope + offset); x is not read where slope is null.
struct BatchNormGradient {
  HalfFormat format;
  const std::uint16_t *x, *dy, *y;
  BatchNormMask mask;
  std::uint16_t* dx;
  const float *scale, *shift;            // [width], BatchNormMask::input
  const float *factor, *slope, *offset;  // [width]
};

// A rung's passes over items [from, to).
struct BatchNormPasses {
  // Some mean of each channel's elements, [channels]: any will do, a good one saves a pass.
  void (*sample)(const BatchNormPlan&, HalfFormat, const std::uint16_t* x, float* means);
  void (*sums)(const BatchNormPlan&, const BatchNormSums&, std::int64_t from, std::int64_t to);
  void (*apply)(const BatchNormPlan&, const BatchNormApply&, std::int64_t from, std::int64_t to);
  void (*gradient)(const BatchNormPlan&, const BatchNormGradient&, std::int64_t from,
                   std::int64_t to);
};

namespace ref {
const BatchNormPasses& batch_norm_passes();
}
namespace avx2 {
const BatchNormPasses& batch_norm_passes();
}
namespace avx512 {
const BatchNormPasses& batch_norm_passes();
}

// The parts of a workspace of bytes(plan) bytes, aligned to 8.
struct BatchNormScratch {
  static constexpr int kArrays = 6;
  BatchNormScratch(const BatchNormPlan& plan, void* workspace)
      : partial(static_cast<float*>(workspace)),
        sums(reinterpret_cast<double*>(partial + partial_size(plan))),
        arrays(reinterpret_cast<float*>(sums + 2 * plan.width)),
        width(plan.width) {}
  float* array(int i) const { return arrays + i * width; }

  static std::int64_t partial_size(const BatchNormPlan& plan) {
    return plan.groups * 2 * plan.width;
  }
  static std::int64_t bytes(const BatchNormPlan& plan) {
    return 4 * partial_size(plan) + (16 + 4 * kArrays) * plan.width + 8;
  }

  float* partial;
  double* sums;   // [2][width]; of a channel in its first column
  float* arrays;  // [kArrays][width]
  std::int64_t width;
};

// A channel's values to all its columns.
void batch_norm_spread(const BatchNormPlan& plan, float* values);

// Runs the pass and adds its partial sums up, group after group.
void batch_norm_add_up(const BatchNormPasses& passes, const BatchNormPlan& plan,
                       const BatchNormSums& pass, double* sums);

void batch_norm_forward_by(const BatchNormPasses& passes, const BatchNormForwardArgs& args);
void batch_norm_backward_by(const BatchNormPasses& passes, const BatchNormBackwardArgs& args);

}  // namespace halftone::kernels
