#include <algorithm>

#include "halftone/base/parallel.h"
#include "halftone/kernels/depthwise/passes.h"
#include "halftone/kernels/depthwise/planes.h"
#include "halftone/kernels/product/buffers.h"

namespace halftone::kernels {
namespace {

// Positions whose products are summed in fp32: 1024 of them err by about sqrt(1024 / 2) * 2^-24 /
// sqrt(3) = 8e-7 of the sum; from 256 on the partial sums are a few percent of what is read.
constexpr std::int64_t kFewPositions = 256, kManyPositions = 1024;
// Parts for any number of threads.
constexpr std::int64_t kDepthwiseParts = 16;
// Channels of a part, so that a few wide images give as many parts, too: 512 bytes of a pixel.
constexpr std::int64_t kDepthwiseChannels = 256;

// How the sums are cut: by lines of dy, by channels, and by planes of the multiplier. From shape
// alone.
struct WeightPlan {
  explicit WeightPlan(const Conv2dShape& s)
      : taps(s.window.h * s.window.w),
        planes(s.filters / s.channels),
        lines(s.batch * s.output.h),
        blocks((s.channels + kDepthwiseChannels - 1) / kDepthwiseChannels) {
    const std::int64_t positions =
        std::clamp(lines * s.output.w / kDepthwiseParts, kFewPositions, kManyPositions);
    const std::int64_t most =
        std::max<std::int64_t>(1, positions / std::max<std::int64_t>(1, s.output.w));
    parts = (lines + most - 1) / most;
    part_lines = parts > 0 ? (lines + parts - 1) / parts : 0;
  }
  std::int64_t taps, planes, lines, blocks, part_lines, parts;
};

struct WeightSums {
  const Conv2dArgs& args;
  const WeightPlan& plan;
  const std::uint16_t* dy;  // [plane][line][w][channel]
  float* partial;           // [part][plane][block][tap][channel of the block]

  std::int64_t channels_of(std::int64_t block) const {
    return std::min(kDepthwiseChannels, args.shape.channels - block * kDepthwiseChannels);
  }
  float* sums(std::int64_t part, std::int64_t plane, std::int64_t block) const {
    return partial +
           ((part * plan.planes + plane) * args.shape.channels + block * kDepthwiseChannels) *
               plan.taps;
  }
};

void add_part(const DepthwisePasses& passes, const WeightSums& to, std::int64_t part,
              std::int64_t plane, std::int64_t block) {
  const Conv2dShape& s = to.args.shape;
  const std::int64_t first_channel = block * kDepthwiseChannels;
  const std::int64_t x_line = s.input.w * s.channels;
  DepthwiseGradientLine line{};
  line.format = to.args.format;
  line.channels = to.channels_of(block);
  line.pitch = s.channels;
  line.columns = {s.input.w, s.stride.w, -s.padding.w, s.dilation.w, s.window.w};
  line.x_row = s.dilation.h * x_line;
  line.count = s.output.w;
  float* sums = to.sums(part, plane, block);
  std::fill(sums, sums + to.plan.taps * line.channels, 0.0f);
  const std::int64_t end = std::min((part + 1) * to.plan.part_lines, to.plan.lines);
  for (std::int64_t i = part * to.plan.part_lines; i < end; ++i) {
    const std::int64_t top = i % s.output.h * s.stride.h - s.padding.h;
    const auto inside = depthwise_inside(top, s.dilation.h, s.window.h, s.input.h);
    if (inside.count == 0) continue;
    line.rows = inside.count;
    line.x = to.args.x + first_channel +
             (i / s.output.h * s.input.h + top + inside.first * s.dilation.h) * x_line;
    line.dy = to.dy + first_channel + (plane * to.plan.lines + i) * s.output.w * s.channels;
    line.ahead =
        depthwise_ahead(to.args.x + first_channel,
                        i / s.output.h * s.input.h + top + s.dilation.h * (s.window.h - 1) + 1,
                        s.stride.h, s.batch * s.input.h, s.input.w, s.channels);
    line.ahead_dy =
        depthwise_ahead(to.dy + first_channel + plane * to.plan.lines * s.output.w * s.channels,
                        i + 1, 1, to.plan.lines, s.output.w, s.channels);
    line.sums = sums + inside.first * s.window.w * line.channels;
    passes.gradient(line);
  }
}

// One tap of a plane's block of channels, over all parts. whole: [plane][tap][channel].
void add_parts(const WeightSums& from, std::int64_t plane, std::int64_t block, std::int64_t tap,
               float* whole) {
  double sums[kDepthwiseChannels] = {};
  const std::int64_t channels = from.channels_of(block);
  for (std::int64_t part = 0; part < from.plan.parts; ++part) {
    const float* partial = from.sums(part, plane, block) + tap * channels;
    for (std::int64_t c = 0; c < channels; ++c) sums[c] += partial[c];
  }
  float* to = whole + (plane * from.plan.taps + tap) * from.args.shape.channels +
              block * kDepthwiseChannels;
  for (std::int64_t c = 0; c < channels; ++c) to[c] = static_cast<float>(sums[c]);
}

// Rounded, in the order of weights: [channel][plane][tap].
void write_sums(const DepthwisePasses& passes, const Conv2dArgs& args, const WeightPlan& plan,
                const float* whole) {
  const std::int64_t channels = args.shape.channels, rows = plan.planes * plan.taps;
  if (args.dweight_fp32) {
    auto* to = static_cast<float*>(args.dweight);
    for (std::int64_t i = 0; i < rows * channels; ++i)
      to[i] = whole[i % rows * channels + i / rows];
    return;
  }
  auto* halves = task_buffer<std::uint16_t>(WorkspaceSlot::rows, rows * channels);
  passes.narrow(args.format, whole, rows * channels, halves);
  transpose_halves({1, rows, channels, halves, static_cast<std::uint16_t*>(args.dweight)});
}

}  // namespace

void depthwise_backward_weights_by(const DepthwisePasses& passes, const Conv2dArgs& args) {
  const Conv2dShape& s = args.shape;
  const WeightPlan plan(s);
  const DepthwisePlanes dy(args, args.dy);
  const WeightSums sums{
      args, plan, dy.data(),
      task_buffer<float>(WorkspaceSlot::shared_operand, plan.parts * s.filters * plan.taps)};
  const std::int64_t both = plan.planes * plan.blocks;
  const std::int64_t products = plan.part_lines * s.output.w * kDepthwiseChannels * plan.taps;
  parallel_for(0, plan.parts * both, kDepthwiseGrain / (products + 1) + 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   add_part(passes, sums, i / both, i / plan.blocks % plan.planes, i % plan.blocks);
                 }
               });
  auto* whole = task_buffer<float>(WorkspaceSlot::sums, s.filters * plan.taps);
  // An addition in fp64 costs some four products.
  const std::int64_t additions = 4 * plan.parts * std::min(kDepthwiseChannels, s.channels);
  parallel_for(0, both * plan.taps, kDepthwiseGrain / (additions + 1) + 1,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const std::int64_t at = i / plan.taps;
                   add_parts(sums, at / plan.blocks, at % plan.blocks, i % plan.taps, whole);
                 }
               });
  write_sums(passes, args, plan, whole);
}

}  // namespace halftone::kernels
