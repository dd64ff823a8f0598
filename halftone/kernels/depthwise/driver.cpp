#include <algorithm>
#include <numeric>

#include "halftone/base/parallel.h"
#include "halftone/kernels/depthwise/passes.h"
#include "halftone/kernels/depthwise/planes.h"
#include "halftone/kernels/product/buffers.h"

namespace halftone::kernels {
namespace {

struct DepthwiseWeights {
  const float* weight;  // [plane][tap][channel]
  const float* bias;    // [plane][channel] or null
};

// In the workspace of the calling thread. Filter c * planes + p is channel c of plane p.
DepthwiseWeights widen_weights(const DepthwisePasses& passes, const Conv2dArgs& args) {
  const Conv2dShape& s = args.shape;
  const std::int64_t taps = s.window.h * s.window.w, planes = s.filters / s.channels;
  const std::int64_t count = s.filters * taps;
  auto* halves = task_buffer<std::uint16_t>(WorkspaceSlot::rows, count + s.filters);
  auto* wide = task_buffer<float>(WorkspaceSlot::shared_operand, count + s.filters);
  transpose_halves({1, s.channels, planes * taps, args.weight, halves});
  passes.widen(args.format, halves, count, wide);
  if (!args.bias) return {wide, nullptr};
  transpose_halves({1, s.channels, planes, args.bias, halves + count});
  passes.widen(args.format, halves + count, s.filters, wide + count);
  return {wide, wide + count};
}

std::int64_t lines_of_task(std::int64_t multiplications) {
  return kDepthwiseGrain / (multiplications + 1) + 1;
}

// One axis of backward-data: input positions q * stride + phase get from outputs q + first + k *
// spread by the taps last - k * tap_step, 0 <= k < count.
struct DepthwisePhase {
  std::int64_t last = 0, tap_step = 1, count = 0, first = 0, spread = 1;
};

DepthwisePhase phase_of(std::int64_t phase, std::int64_t window, std::int64_t stride,
                        std::int64_t padding, std::int64_t dilation) {
  const std::int64_t divisor = std::gcd(stride, dilation);
  DepthwisePhase found;
  found.tap_step = stride / divisor;
  found.spread = dilation / divisor;
  for (found.last = window - 1; found.last >= 0; --found.last) {
    const std::int64_t reach = phase + padding - found.last * dilation;
    if (reach % stride != 0) continue;
    found.first = reach / stride;
    found.count = found.last / found.tap_step + 1;
    break;
  }
  return found;
}

struct BackwardSource {
  const Conv2dArgs& args;
  const std::uint16_t* dy;  // [plane][batch][h][w][channel]
  const float* weight;
};

// The pixels of one phase of the columns in line ih of image n.
void backward_line(const DepthwisePasses& passes, const BackwardSource& from, std::int64_t n,
                   std::int64_t ih, std::int64_t phase) {
  const Conv2dShape& s = from.args.shape;
  const auto rows = phase_of(ih % s.stride.h, s.window.h, s.stride.h, s.padding.h, s.dilation.h);
  const auto columns = phase_of(phase, s.window.w, s.stride.w, s.padding.w, s.dilation.w);
  const std::int64_t top = ih / s.stride.h + rows.first;
  const auto inside = depthwise_inside(top, rows.spread, rows.count, s.output.h);
  const std::int64_t source_line = s.output.w * s.channels;
  DepthwiseLine line{};
  line.format = from.args.format;
  line.channels = line.pitch = s.channels;
  line.columns = {s.output.w, 1, columns.first, columns.spread, columns.count};
  line.planes = s.filters / s.channels;
  line.rows = columns.count > 0 ? inside.count : 0;
  line.source_plane = s.batch * s.output.h * source_line;
  line.source_row = rows.spread * source_line;
  line.weight_plane = s.window.h * s.window.w * s.channels;
  line.weight_row = -rows.tap_step * s.window.w * s.channels;
  line.weight_tap = -columns.tap_step * s.channels;
  if (line.rows > 0) {
    line.source = from.dy + (n * s.output.h + top + inside.first * rows.spread) * source_line;
    const std::int64_t row = rows.last - inside.first * rows.tap_step;
    line.weight = from.weight + (row * s.window.w + columns.last) * s.channels;
  } else {
    line.planes = 0;  // no tap reaches here: zeros
  }
  if (phase == 0) {
    line.ahead = depthwise_ahead(from.dy, n * s.output.h + top + rows.count * rows.spread, 1,
                                 s.batch * s.output.h, s.output.w, s.channels);
  }
  line.out = from.args.dx + ((n * s.input.h + ih) * s.input.w + phase) * s.channels;
  line.out_pitch = s.stride.w * s.channels;
  line.count = (s.input.w - phase + s.stride.w - 1) / s.stride.w;
  passes.line(line);
}

}  // namespace

DepthwiseAhead depthwise_ahead(const std::uint16_t* image, std::int64_t from, std::int64_t lines,
                               std::int64_t total, std::int64_t width, std::int64_t pitch) {
  const std::int64_t first = std::clamp<std::int64_t>(from, 0, total);
  return {image + first * width * pitch, std::clamp<std::int64_t>(lines, 0, total - first) * width};
}

DepthwiseRange depthwise_inside(std::int64_t base, std::int64_t spread, std::int64_t taps,
                                std::int64_t size) {
  const std::int64_t first = base < 0 ? (-base + spread - 1) / spread : 0;
  const std::int64_t end = base >= size ? 0 : (size - 1 - base) / spread + 1;
  return {first, std::max<std::int64_t>(0, std::min(taps, end) - first)};
}

void depthwise_forward_by(const DepthwisePasses& passes, const Conv2dArgs& args) {
  const Conv2dShape& s = args.shape;
  const std::int64_t planes = s.filters / s.channels, taps = s.window.h * s.window.w;
  const std::int64_t lines = s.batch * s.output.h, length = s.output.w * s.channels;
  if (lines * length * planes <= 0) return;
  const DepthwiseWeights weights = widen_weights(passes, args);
  const DepthwisePlanes y(args, args.y);
  const std::int64_t source_line = s.input.w * s.channels;
  const auto run = [&](std::int64_t plane, std::int64_t index) {
    const std::int64_t image = index / s.output.h * s.input.h;
    const std::int64_t top = index % s.output.h * s.stride.h - s.padding.h;
    const auto inside = depthwise_inside(top, s.dilation.h, s.window.h, s.input.h);
    DepthwiseLine line{};
    line.format = args.format;
    line.channels = line.pitch = line.out_pitch = s.channels;
    line.columns = {s.input.w, s.stride.w, -s.padding.w, s.dilation.w, s.window.w};
    line.planes = inside.count > 0 ? 1 : 0;
    line.rows = inside.count;
    line.source_row = s.dilation.h * source_line;
    line.weight_row = s.window.w * s.channels;
    line.weight_tap = s.channels;
    if (line.rows > 0) {
      line.source = args.x + (image + top + inside.first * s.dilation.h) * source_line;
      line.weight = weights.weight + plane * taps * s.channels + inside.first * line.weight_row;
    }
    line.ahead = depthwise_ahead(args.x, image + top + s.dilation.h * (s.window.h - 1) + 1,
                                 s.stride.h, s.batch * s.input.h, s.input.w, s.channels);
    line.bias = weights.bias ? weights.bias + plane * s.channels : nullptr;
    line.out = y.data() + (plane * lines + index) * length;
    line.count = s.output.w;
    passes.line(line);
  };
  parallel_for(0, planes * lines, lines_of_task(length * taps),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) run(i / lines, i % lines);
               });
  y.write_back();
}

void depthwise_backward_data_by(const DepthwisePasses& passes, const Conv2dArgs& args) {
  const Conv2dShape& s = args.shape;
  const std::int64_t lines = s.batch * s.input.h;
  if (lines * s.input.w <= 0) return;
  const DepthwisePlanes dy(args, args.dy);
  const BackwardSource from{args, dy.data(), widen_weights(passes, args).weight};
  const std::int64_t products = s.filters * s.window.h * s.window.w * s.input.w;
  parallel_for(0, lines, lines_of_task(products / (s.stride.h * s.stride.w)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   for (std::int64_t w = 0; w < std::min(s.stride.w, s.input.w); ++w) {
                     backward_line(passes, from, i / s.input.h, i % s.input.h, w);
                   }
                 }
               });
}

}  // namespace halftone::kernels
