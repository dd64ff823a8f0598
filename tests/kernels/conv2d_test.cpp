#include "halftone/kernels/conv2d/conv2d.h"

#include <ATen/Parallel.h>

#include <limits>

#include "halftone/kernels/product/product.h"
#include "tests/kernels/convolution_problem.h"
#include "tests/support/rungs.h"
#include "tests/support/test.h"

namespace halftone::kernels {
namespace {

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
