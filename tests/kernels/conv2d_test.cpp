#include "halftone/kernels/conv2d/conv2d.h"

#include <ATen/Parallel.h>

#include <limits>
#include <sstream>

#include "halftone/kernels/product/product.h"
#include "tests/kernels/half_matrix.h"
#include "tests/support/rungs.h"
#include "tests/support/test.h"

namespace halftone::kernels {
namespace {

std::string describe(const Conv2dShape& s) {
  std::ostringstream text;
  text << "batch " << s.batch << " channels " << s.channels << " filters " << s.filters
       << " groups " << s.groups << " input " << s.input.h << "x" << s.input.w << " window "
       << s.window.h << "x" << s.window.w << " stride " << s.stride.h << "," << s.stride.w
       << " padding " << s.padding.h << "," << s.padding.w << " dilation " << s.dilation.h << ","
       << s.dilation.w;
  return text.str();
}

// Inputs, results and the exact results of all three directions.
struct Convolution {
  Convolution(HalfFormat format, const Conv2dShape& shape) {
    args.format = format;
    args.shape = shape;
    args.shape.output = conv2d_output(shape);
    const Conv2dShape& s = args.shape;
    x = normal_halves(format, s.batch * s.input.h * s.input.w * s.channels, 1);
    weight = normal_halves(format, s.filters * s.window.h * s.window.w * s.channels / s.groups, 2);
    bias = normal_halves(format, s.filters, 3);
    dy = normal_halves(format, s.batch * s.output.h * s.output.w * s.filters, 4);
    y.resize(dy.size()), dx.resize(x.size()), dweight.resize(weight.size());
    args.x = x.data(), args.weight = weight.data(), args.bias = bias.data(), args.dy = dy.data();
    args.y = y.data(), args.dx = dx.data(), args.dweight = dweight.data();
    args.dweight_fp32 = true;
  }
  Convolution(const Convolution&) = delete;

  void run() {
    conv2d_forward(args);
    conv2d_backward_data(args);
    conv2d_backward_weights(args);
  }

  double value(std::uint16_t bits) const { return value_of(args.format, bits); }

  void compute_exact();

  Conv2dArgs args;
  Halves x, weight, bias, dy, y, dx;
  std::vector<float> dweight;
  std::vector<double> exact_y, exact_dx, exact_dweight;
};

void Convolution::compute_exact() {
  const Conv2dShape& s = args.shape;
  exact_y.assign(y.size(), 0), exact_dx.assign(x.size(), 0), exact_dweight.assign(weight.size(), 0);
  const std::int64_t depth = s.channels / s.groups, filters = s.filters / s.groups;
  std::size_t at = 0;
  for (std::int64_t row = 0; row < s.batch * s.output.h * s.output.w; ++row) {
    const std::int64_t entry = row / s.output.w / s.output.h;
    const std::int64_t oh = row / s.output.w % s.output.h, ow = row % s.output.w;
    for (std::int64_t f = 0; f < s.filters; ++f, ++at) {
      exact_y[at] += value(bias[static_cast<std::size_t>(f)]);
      for (std::int64_t tap = 0; tap < s.window.h * s.window.w; ++tap) {
        const std::int64_t r = tap / s.window.w, c = tap % s.window.w;
        const std::int64_t ih = oh * s.stride.h - s.padding.h + r * s.dilation.h;
        const std::int64_t iw = ow * s.stride.w - s.padding.w + c * s.dilation.w;
        if (ih < 0 || ih >= s.input.h || iw < 0 || iw >= s.input.w) continue;
        for (std::int64_t d = 0; d < depth; ++d) {
          const auto xi = static_cast<std::size_t>(
              ((entry * s.input.h + ih) * s.input.w + iw) * s.channels + f / filters * depth + d);
          const auto wi = static_cast<std::size_t>((f * s.window.h * s.window.w + tap) * depth + d);
          exact_y[at] += value(x[xi]) * value(weight[wi]);
          exact_dx[xi] += value(dy[at]) * value(weight[wi]);
          exact_dweight[wi] += value(dy[at]) * value(x[xi]);
        }
      }
    }
  }
}

// Seeded: every stride, padding, dilation, group and tail comes up.
Conv2dShape random_shape(std::mt19937& random) {
  const auto between = [&](std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random() % static_cast<unsigned>(high - low + 1));
  };
  Conv2dShape s;
  s.batch = between(1, 3);
  s.groups = between(0, 2) ? 1 : between(1, 3);
  s.channels = s.groups * between(1, 40);
  s.filters = s.groups * between(1, 40);
  s.window = {between(1, 5), between(1, 5)};
  s.stride = {between(1, 3), between(1, 3)};
  s.padding = {between(0, 3), between(0, 3)};
  s.dilation = {between(1, 2), between(1, 2)};
  do {
    s.input = {between(1, 12), between(1, 12)};
    s.output = conv2d_output(s);
    if (s.output.h <= 0) s.padding.h = 4;
    if (s.output.w <= 0) s.padding.w = 4;
  } while (s.output.h <= 0 || s.output.w <= 0);
  return s;
}

TEST(Conv2d, MatchesFp64InAllDirectionsOnEveryRungOverRandomShapes) {
  at::set_num_threads(1);
  for_each_rung(product_ladder(), [](Isa rung) {
    std::mt19937 random(7);
    for (int i = 0; i < 60; ++i) {
      const Conv2dShape shape = random_shape(random);
      const HalfFormat format = i % 2 ? HalfFormat::fp16 : HalfFormat::bf16;
      Convolution conv(format, shape);
      conv.run();
      conv.compute_exact();
      SCOPED_TRACE(std::string(isa_name(rung)) + ": " + describe(shape));
      // A few outputs of a few terms: the mean of the tolerance needs more.
      const double allowed = 1.5 * product_tolerance(format);
      EXPECT_LE(relative_rms(format, conv.y, conv.exact_y), allowed);
      EXPECT_LE(relative_rms(format, conv.dx, conv.exact_dx), allowed);
      EXPECT_LE(relative_rms(format, conv.dweight, conv.exact_dweight), fp32_tolerance(format));
    }
  });
}

TEST(Conv2d, PaddingNeverMixesInfinityIntoOtherWindows) {
  at::set_num_threads(1);
  for_each_rung(product_ladder(), [](Isa rung) {
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      Conv2dShape shape;
      shape.batch = 1, shape.channels = 3, shape.filters = 5;
      shape.input = {6, 6}, shape.window = {3, 3}, shape.padding = {1, 1};
      Convolution conv(format, shape);
      conv.x[0] = float_to_half(format, std::numeric_limits<float>::infinity());  // pixel (0, 0)
      conv2d_forward(conv.args);
      for (std::size_t i = 0; i < conv.y.size(); ++i) {
        const std::size_t row = i / 5 / 6, column = i / 5 % 6;
        EXPECT_EQ(std::isfinite(conv.value(conv.y[i])), row > 1 || column > 1)
            << isa_name(rung) << " " << row << "," << column;
      }
    }
  });
}

TEST(Conv2d, SameBitsForAnyThreadCount) {
  Conv2dShape shape;
  shape.batch = 3, shape.channels = 24, shape.filters = 40;
  shape.input = {30, 30}, shape.window = {3, 3}, shape.padding = {1, 1}, shape.stride = {2, 2};
  const int before = at::get_num_threads();
  for_each_rung(product_ladder(), [&](Isa rung) {
    if (rung == Isa::ref) shape.input = {8, 8};
    at::set_num_threads(1);
    Convolution first(HalfFormat::fp16, shape);
    first.run();
    for (int threads : {2, 3}) {
      at::set_num_threads(threads);
      Convolution again(HalfFormat::fp16, shape);
      again.run();
      EXPECT_EQ(first.y, again.y) << isa_name(rung);
      EXPECT_EQ(first.dx, again.dx) << isa_name(rung);
      EXPECT_EQ(first.dweight, again.dweight) << isa_name(rung);
    }
  });
  at::set_num_threads(before);
}

TEST(Conv2d, EmptyBatchesGiveZeroGradients) {
  Conv2dShape shape;
  shape.batch = 0, shape.channels = 4, shape.filters = 6;
  shape.input = {5, 5}, shape.window = {3, 3};
  Convolution conv(HalfFormat::bf16, shape);
  conv.dweight.assign(conv.dweight.size(), 1);
  conv.run();
  EXPECT_EQ(conv.dweight, std::vector<float>(conv.dweight.size(), 0.0f));
}

}  // namespace
}  // namespace halftone::kernels
