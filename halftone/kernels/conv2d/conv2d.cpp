#include "halftone/kernels/conv2d/conv2d.h"

#include <algorithm>
#include <cstring>

#include "halftone/kernels/conv2d/patch_rows.h"
#include "halftone/kernels/depthwise/depthwise.h"

namespace halftone::kernels {
namespace {

std::int64_t output_size(std::int64_t input, std::int64_t window, std::int64_t stride,
                         std::int64_t padding, std::int64_t dilation) {
  const std::int64_t room = input + 2 * padding - dilation * (window - 1) - 1;
  return room < 0 ? 0 : room / stride + 1;
}

std::vector<std::int64_t> forward_taps(std::int64_t window, std::int64_t padding,
                                       std::int64_t dilation) {
  std::vector<std::int64_t> offsets;
  for (std::int64_t i = 0; i < window; ++i) offsets.push_back(i * dilation - padding);
  return offsets;
}

// What the window sees of x at each output position, for the group whose channels begin at first.
PatchRows input_patches(const Conv2dArgs& args, std::int64_t first) {
  const Conv2dShape& s = args.shape;
  PatchRows patch;
  patch.image = args.x + first;
  patch.size = s.input;
  patch.channels = s.channels;
  patch.depth = s.channels / s.groups;
  patch.grid = s.output;
  patch.step = s.stride;
  patch.rows = forward_taps(s.window.h, s.padding.h, s.dilation.h);
  patch.columns = forward_taps(s.window.w, s.padding.w, s.dilation.w);
  return patch;
}

bool has_pixels(const Conv2dShape& s) {
  return s.batch > 0 && s.output.h > 0 && s.output.w > 0 && s.channels > 0 && s.filters > 0 &&
         s.input.h > 0 && s.input.w > 0 && s.window.h > 0 && s.window.w > 0;
}

// Which taps reach the input positions y = phase (mod stride) from the output, and from where:
// output position = y / stride + offset.
struct BackwardTaps {
  std::vector<std::int64_t> taps, offsets;  // by ascending offset
};

BackwardTaps backward_taps(std::int64_t phase, std::int64_t window, std::int64_t stride,
                           std::int64_t padding, std::int64_t dilation) {
  BackwardTaps list;
  for (std::int64_t i = window - 1; i >= 0; --i) {
    const std::int64_t reach = phase + padding - i * dilation;
    if (reach % stride != 0) continue;
    list.taps.push_back(i);
    list.offsets.push_back(reach / stride);
  }
  return list;
}

// Row (tap row, tap column, filter) of the weights: the channels that the tap takes to.
struct WeightRows {
  const std::uint16_t* weight;  // of the group
  const std::vector<std::int64_t>*rows, *columns;
  Pair2d window;
  std::int64_t depth, filters;
};

const std::uint16_t* read_weight(const MatrixRows& self, std::int64_t row, std::int64_t begin,
                                 std::int64_t, std::uint16_t*) {
  const auto& w = *static_cast<const WeightRows*>(self.context);
  const std::int64_t tap = row / w.filters, filter = row - tap * w.filters;
  const auto columns = static_cast<std::int64_t>(w.columns->size());
  const std::int64_t r = (*w.rows)[static_cast<std::size_t>(tap / columns)];
  const std::int64_t s = (*w.columns)[static_cast<std::size_t>(tap % columns)];
  return w.weight + ((filter * w.window.h + r) * w.window.w + s) * w.depth + begin;
}

// Where the positions of one phase lie in dx.
struct PhaseRows {
  Pair2d phase, grid, size, stride;
  std::int64_t channels;
};

std::int64_t phase_offset(const void* context, std::int64_t row) {
  const auto& p = *static_cast<const PhaseRows*>(context);
  const std::int64_t line = row / p.grid.w, x = row - line * p.grid.w;
  const std::int64_t entry = line / p.grid.h, y = line - entry * p.grid.h;
  return ((entry * p.size.h + y * p.stride.h + p.phase.h) * p.size.w + x * p.stride.w + p.phase.w) *
         p.channels;
}

void backward_data_phase(const Conv2dArgs& args, Pair2d phase, std::int64_t group) {
  const Conv2dShape& s = args.shape;
  const std::int64_t depth = s.channels / s.groups, filters = s.filters / s.groups;
  const auto rows = backward_taps(phase.h, s.window.h, s.stride.h, s.padding.h, s.dilation.h);
  const auto columns = backward_taps(phase.w, s.window.w, s.stride.w, s.padding.w, s.dilation.w);
  PhaseRows to{phase, {}, s.input, s.stride, s.channels};
  to.grid.h = (s.input.h - phase.h + s.stride.h - 1) / s.stride.h;
  to.grid.w = (s.input.w - phase.w + s.stride.w - 1) / s.stride.w;
  if (rows.taps.empty() || columns.taps.empty() || to.grid.h <= 0 || to.grid.w <= 0) return;

  PatchRows patch;
  patch.image = args.dy + group * filters;
  patch.size = s.output;
  patch.channels = s.filters;
  patch.depth = filters;
  patch.grid = to.grid;
  patch.rows = rows.offsets;
  patch.columns = columns.offsets;
  const WeightRows weight{args.weight + group * filters * s.window.h * s.window.w * depth,
                          &rows.taps,
                          &columns.taps,
                          s.window,
                          depth,
                          filters};
  ProductArgs p;
  p.format = args.format;
  p.m = s.batch * to.grid.h * to.grid.w;
  p.n = depth;
  p.k = patch.length();
  p.a = patch.matrix();
  p.b = {read_weight, nullptr, 0, &weight};
  p.c = args.dx + group * depth;
  p.c_stride = s.channels;
  if (s.stride.h != 1 || s.stride.w != 1) {
    p.c_row = phase_offset;
    p.c_context = &to;
  }
  product(p);
}

}  // namespace

Pair2d conv2d_output(const Conv2dShape& s) {
  return {output_size(s.input.h, s.window.h, s.stride.h, s.padding.h, s.dilation.h),
          output_size(s.input.w, s.window.w, s.stride.w, s.padding.w, s.dilation.w)};
}

void conv2d_forward(const Conv2dArgs& args) {
  if (is_depthwise(args.shape)) return depthwise_forward(args);
  const Conv2dShape& s = args.shape;
  const std::int64_t depth = s.channels / s.groups, filters = s.filters / s.groups;
  for (std::int64_t group = 0; group < s.groups; ++group) {
    const PatchRows patch = input_patches(args, group * depth);
    ProductArgs p;
    p.format = args.format;
    p.m = s.batch * s.output.h * s.output.w;
    p.n = filters;
    p.k = patch.length();
    if (p.k) p.a = patch.matrix();
    p.b = matrix_rows(args.weight + group * filters * p.k, p.k);
    p.b_transposed = true;
    p.packed_b = args.packed_weight;
    p.c = args.y + group * filters;
    p.c_stride = s.filters;
    p.d = args.bias ? args.bias + group * filters : nullptr;
    product(p);
  }
}

PackedOperand pack_weights(const Conv2dArgs& args) {
  const Conv2dShape& s = args.shape;
  if (s.groups != 1 || is_depthwise(s)) return {};
  ProductArgs p;
  p.format = args.format;
  p.n = s.filters;
  p.k = s.window.h * s.window.w * s.channels;
  p.b = matrix_rows(args.weight, p.k);
  p.b_transposed = true;
  return pack_right_operand(p);
}

void conv2d_backward_data(const Conv2dArgs& args) {
  if (is_depthwise(args.shape)) return depthwise_backward_data(args);
  const Conv2dShape& s = args.shape;
  const std::int64_t size = s.batch * s.input.h * s.input.w * s.channels;
  if (!has_pixels(s)) {
    std::fill(args.dx, args.dx + std::max<std::int64_t>(size, 0), std::uint16_t{0});
    return;
  }
  // Positions that no tap reaches keep these zeros.
  const bool every = s.stride.h == 1 && s.stride.w == 1;
  if (!every) std::fill(args.dx, args.dx + size, std::uint16_t{0});
  for (std::int64_t group = 0; group < s.groups; ++group) {
    for (std::int64_t h = 0; h < s.stride.h; ++h) {
      for (std::int64_t w = 0; w < s.stride.w; ++w) backward_data_phase(args, {h, w}, group);
    }
  }
}

void conv2d_backward_weights(const Conv2dArgs& args) {
  if (is_depthwise(args.shape)) return depthwise_backward_weights(args);
  const Conv2dShape& s = args.shape;
  const std::int64_t depth = s.channels / s.groups, filters = s.filters / s.groups;
  for (std::int64_t group = 0; group < s.groups; ++group) {
    const PatchRows patch = input_patches(args, group * depth);
    ProductArgs p;
    p.format = args.format;
    p.m = filters;
    p.n = patch.length();
    p.k = has_pixels(s) ? s.batch * s.output.h * s.output.w : 0;
    p.a = matrix_rows(args.dy + group * filters, s.filters);
    p.a_transposed = true;
    if (p.n) p.b = patch.matrix();
    const std::int64_t at = group * filters * p.n;
    p.c = args.dweight_fp32 ? static_cast<void*>(static_cast<float*>(args.dweight) + at)
                            : static_cast<void*>(static_cast<std::uint16_t*>(args.dweight) + at);
    p.c_stride = p.n;
    p.c_fp32 = args.dweight_fp32;
    product(p);
  }
}

}  // namespace halftone::kernels
