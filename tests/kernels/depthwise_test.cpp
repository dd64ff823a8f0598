#include "halftone/kernels/depthwise/depthwise.h"

#include <ATen/Parallel.h>

#include <limits>

#include "tests/kernels/convolution_problem.h"
#include "tests/support/rungs.h"
#include "tests/support/test.h"

namespace halftone::kernels {
namespace {

// window, stride, padding and dilation of both axes alike, but for what a test changes.
Conv2dShape depthwise_shape(std::int64_t batch, std::int64_t channels, std::int64_t multiplier,
                            Pair2d input, std::int64_t window, std::int64_t stride = 1,
                            std::int64_t padding = 0, std::int64_t dilation = 1) {
  Conv2dShape s;
  s.batch = batch;
  s.channels = s.groups = channels;
  s.filters = channels * multiplier;
  s.input = input;
  s.window = {window, window};
  s.stride = {stride, stride};
  s.padding = {padding, padding};
  s.dilation = {dilation, dilation};
  return s;
}

// Every window that has code of its own and some that have not; channels below, at and beyond
// vectors; lines below, at and beyond blocks; more channels and positions than a part of the
// weights' sums has.
std::vector<Conv2dShape> depthwise_shapes() {
  std::vector<Conv2dShape> list = {depthwise_shape(2, 16, 1, {7, 7}, 3, 1, 1),
                                   depthwise_shape(1, 35, 1, {9, 20}, 3, 1, 1),
                                   depthwise_shape(2, 5, 1, {6, 33}, 3, 2, 1),
                                   depthwise_shape(1, 32, 1, {11, 24}, 5, 1, 2),
                                   depthwise_shape(2, 19, 1, {12, 19}, 5, 2, 2),
                                   depthwise_shape(1, 17, 1, {8, 18}, 7, 1, 3),
                                   depthwise_shape(1, 16, 1, {13, 20}, 3, 1, 2, 2),
                                   depthwise_shape(1, 20, 1, {14, 21}, 3, 2, 2, 2),
                                   depthwise_shape(1, 18, 1, {15, 22}, 3, 2, 3, 3),
                                   depthwise_shape(1, 9, 1, {12, 13}, 7, 3, 3),
                                   depthwise_shape(1, 33, 1, {10, 11}, 4, 3, 1),
                                   depthwise_shape(2, 24, 1, {5, 16}, 1),
                                   depthwise_shape(2, 8, 1, {9, 17}, 2, 2),
                                   depthwise_shape(1, 7, 3, {6, 10}, 3, 1, 1),
                                   depthwise_shape(2, 40, 2, {5, 9}, 3, 2, 1),
                                   depthwise_shape(1, 300, 1, {5, 5}, 3, 1, 1),
                                   depthwise_shape(3, 32, 1, {40, 40}, 3, 1, 1),
                                   depthwise_shape(1, 4, 1, {3, 3}, 3, 1, 3)};
  Conv2dShape uneven = depthwise_shape(2, 21, 1, {9, 14}, 3, 1, 1);
  uneven.window = {1, 5}, uneven.stride = {2, 1}, uneven.padding = {0, 4}, uneven.dilation = {1, 2};
  list.push_back(uneven);
  return list;
}

// As conv2d_test.cpp: a few outputs of a few terms need more than the mean of the tolerance.
void expect_exact(Convolution& conv) {
  const HalfFormat format = conv.args.format;
  conv.compute_exact();
  const double allowed =
      1.5 * (format == HalfFormat::fp16 ? tolerance::kProductFp16 : tolerance::kProductBf16);
  EXPECT_LE(relative_rms(format, conv.y, conv.exact_y), allowed);
  EXPECT_LE(relative_rms(format, conv.dx, conv.exact_dx), allowed);
  EXPECT_LE(relative_rms(format, conv.dweight, conv.exact_dweight), tolerance::kProductFp32);
}

TEST(Depthwise, MatchesFp64InAllDirectionsOnEveryRung) {
  at::set_num_threads(1);
  for (auto direction : {depthwise_forward_ladder, depthwise_backward_data_ladder,
                         depthwise_backward_weights_ladder}) {
    for_each_rung(direction(), [&](Isa rung) {
      for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
        for (const Conv2dShape& shape : depthwise_shapes()) {
          SCOPED_TRACE(std::string(isa_name(rung)) + ": " + describe(shape));
          Convolution conv(format, shape);
          conv.run();
          expect_exact(conv);
        }
      }
    });
  }
}

TEST(Depthwise, HalfWeightGradientsAreTheRoundedOnes) {
  for_each_rung(depthwise_backward_weights_ladder(), [](Isa rung) {
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      Convolution conv(format, depthwise_shape(2, 20, 2, {9, 9}, 3, 1, 1));
      conv2d_backward_weights(conv.args);
      Halves halves(conv.dweight.size());
      conv.args.dweight = halves.data(), conv.args.dweight_fp32 = false;
      conv2d_backward_weights(conv.args);
      for (std::size_t i = 0; i < halves.size(); ++i) {
        EXPECT_EQ(halves[i], float_to_half(format, conv.dweight[i])) << isa_name(rung);
      }
    }
  });
}

// A vector of NaN or infinity in one pixel reaches the outputs whose window holds it, in its own
// channel, and no other.
TEST(Depthwise, InfinityAndNanStayInTheirWindowsAndChannels) {
  for_each_rung(depthwise_forward_ladder(), [](Isa rung) {
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      for (float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
        Convolution conv(format, depthwise_shape(1, 19, 1, {6, 12}, 3, 1, 1));
        conv.x[18] = conv.dy[18] = float_to_half(format, bad);  // pixel (0, 0), channel 18
        conv.run();
        for (std::size_t i = 0; i < conv.y.size(); ++i) {
          const std::size_t row = i / 19 / 12, column = i / 19 % 12;
          const bool far = row > 1 || column > 1 || i % 19 != 18;
          EXPECT_EQ(std::isfinite(conv.value(conv.y[i])), far) << isa_name(rung) << " " << i;
          EXPECT_EQ(std::isfinite(conv.value(conv.dx[i])), far) << isa_name(rung) << " " << i;
        }
        // dy's corner meets x by the taps from (1, 1) on, x's meets dy by those up to (1, 1);
        // padding, as zeros, may make NaN of the channel's others.
        for (std::size_t i = 0; i < conv.dweight.size(); ++i) {
          const std::size_t row = i % 9 / 3, column = i % 3;
          const bool meets = (row > 0 && column > 0) || (row < 2 && column < 2);
          if (i / 9 == 18 && !meets) continue;
          EXPECT_EQ(std::isfinite(conv.dweight[i]), i / 9 != 18)
              << isa_name(rung) << " tap " << row << "," << column;
        }
      }
    }
  });
}

TEST(Depthwise, SameBitsForAnyThreadCount) {
  const int before = at::get_num_threads();
  for_each_rung(depthwise_backward_weights_ladder(), [&](Isa rung) {
    for (const Conv2dShape& shape : {depthwise_shape(4, 48, 1, {64, 64}, 3, 2, 1),
                                     depthwise_shape(4, 600, 2, {20, 20}, 3, 1, 1)}) {
      at::set_num_threads(1);
      Convolution first(HalfFormat::bf16, shape);
      first.run();
      for (int threads : {2, 3}) {
        at::set_num_threads(threads);
        Convolution again(HalfFormat::bf16, shape);
        again.run();
        EXPECT_EQ(first.y, again.y) << isa_name(rung);
        EXPECT_EQ(first.dx, again.dx) << isa_name(rung);
        EXPECT_EQ(first.dweight, again.dweight) << isa_name(rung);
      }
    }
  });
  at::set_num_threads(before);
}

TEST(Depthwise, EmptyBatchesGiveZeroGradients) {
  for_each_rung(depthwise_backward_weights_ladder(), [](Isa) {
    Convolution conv(HalfFormat::bf16, depthwise_shape(0, 6, 2, {5, 5}, 3));
    conv.dweight.assign(conv.dweight.size(), 1);
    conv.run();
    EXPECT_EQ(conv.dweight, std::vector<float>(conv.dweight.size(), 0.0f));
  });
}

}  // namespace
}  // namespace halftone::kernels
