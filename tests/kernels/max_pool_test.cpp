#include "halftone/kernels/max_pool/max_pool.h"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/support/rungs.h"
#include "tests/support/test.h"

namespace halftone::kernels {
namespace {

using Halves = std::vector<std::uint16_t>;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::int64_t pooled(std::int64_t size, std::int64_t kernel, std::int64_t stride, std::int64_t pad) {
  return (size + 2 * pad - kernel) / stride + 1;
}

PoolShape pool_shape(std::int64_t batch, std::int64_t channels, std::int64_t h, std::int64_t w,
                     std::int64_t kernel, std::int64_t stride, std::int64_t pad) {
  // The second axis differs from the first.
  const std::int64_t kernel_w = kernel + 1;
  return {HalfFormat::fp16,
          false,
          batch,
          channels,
          h,
          w,
          pooled(h, kernel, stride, pad),
          pooled(w, kernel_w, stride, pad),
          kernel,
          kernel_w,
          stride,
          stride,
          pad,
          pad};
}

std::vector<PoolShape> pool_shapes() {
  return {pool_shape(2, 3, 9, 11, 3, 2, 1),   pool_shape(1, 17, 8, 8, 2, 2, 0),
          pool_shape(1, 33, 5, 7, 3, 1, 1),   pool_shape(1, 2, 6, 150, 3, 2, 1),
          pool_shape(1, 2, 4, 140, 2, 1, 1),  pool_shape(2, 16, 10, 13, 3, 3, 1),
          pool_shape(1, 5, 7, 90, 4, 5, 2),   pool_shape(1, 1, 1, 2, 1, 1, 0),
          pool_shape(0, 4, 4, 5, 2, 2, 0),    pool_shape(1, 1, 64, 300, 63, 16, 31),
          pool_shape(3, 64, 16, 16, 3, 2, 1), pool_shape(1, 1, 5, 133, 1, 2, 0)};
}

std::int64_t input_size(const PoolShape& s) { return s.batch * s.channels * s.in_h * s.in_w; }
std::int64_t output_size(const PoolShape& s) { return s.batch * s.channels * s.out_h * s.out_w; }

std::int64_t place(const PoolShape& s, std::int64_t h, std::int64_t w, std::int64_t n,
                   std::int64_t c, std::int64_t y, std::int64_t x) {
  return s.channels_last ? ((n * h + y) * w + x) * s.channels + c
                         : ((n * s.channels + c) * h + y) * w + x;
}

// One element behind the first: nothing may rely on alignment.
struct Pooled {
  Halves output;
  std::vector<std::int64_t> indices;
};

// body(output element, input row, input column, input element) for all taps.
template <class Body>
void for_each_tap(const PoolShape& s, Body body) {
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t c = 0; c < s.channels; ++c)
      for (std::int64_t oh = 0; oh < s.out_h; ++oh)
        for (std::int64_t ow = 0; ow < s.out_w; ++ow)
          for (std::int64_t i = 0; i < s.kernel_h; ++i)
            for (std::int64_t j = 0; j < s.kernel_w; ++j) {
              const std::int64_t y = oh * s.stride_h - s.pad_h + i;
              const std::int64_t x = ow * s.stride_w - s.pad_w + j;
              if (y < 0 || y >= s.in_h || x < 0 || x >= s.in_w) continue;
              body(place(s, s.out_h, s.out_w, n, c, oh, ow), y * s.in_w + x,
                   place(s, s.in_h, s.in_w, n, c, y, x));
            }
}

Pooled naive(const PoolShape& s, const std::uint16_t* input) {
  Pooled out{Halves(output_size(s)), std::vector<std::int64_t>(output_size(s), -1)};
  std::vector<float> best(out.output.size(), -kInfinity);
  for_each_tap(s, [&](std::int64_t o, std::int64_t index, std::int64_t i) {
    const float value = half_to_float(s.format, input[i]);
    if (out.indices[o] < 0 || value > best[o] || std::isnan(value)) {
      best[o] = value, out.indices[o] = index;
    }
  });
  for (std::size_t i = 0; i < best.size(); ++i) out.output[i] = float_to_half(s.format, best[i]);
  return out;
}

Halves values(HalfFormat format, std::int64_t count, unsigned seed, bool special) {
  std::mt19937 random(seed);
  // Few different values: many ties.
  std::uniform_int_distribution<int> level(-4, 4), kind(0, 30);
  Halves list(static_cast<std::size_t>(count));
  for (auto& each : list) {
    const int k = special ? kind(random) : 30;
    each = float_to_half(format, k == 0   ? kNan
                                 : k == 1 ? kInfinity
                                 : k < 6  ? -kInfinity
                                 : k < 8  ? -0.0f
                                          : 0.375f * static_cast<float>(level(random)));
  }
  return list;
}

template <class Check>
void for_each_case(Check check) {
  for (PoolShape shape : pool_shapes()) {
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      for (bool channels_last : {false, true}) {
        shape.format = format;
        shape.channels_last = channels_last;
        SCOPED_TRACE(testing::Message() << shape.channels << "x" << shape.in_h << "x" << shape.in_w
                                        << " kernel " << shape.kernel_h << " stride "
                                        << shape.stride_h << " last " << channels_last);
        check(shape);
      }
    }
  }
}

TEST(MaxPool, TakesTheFirstLargestElementOnEveryRung) {
  for_each_rung(max_pool_ladder(), [](Isa rung) {
    for_each_case([&](const PoolShape& shape) {
      for (bool special : {false, true}) {
        const Halves input = values(shape.format, input_size(shape) + 1, 1, special);
        const Pooled expected = naive(shape, input.data() + 1);
        Pooled actual{Halves(expected.output.size() + 2, 0x1234),
                      std::vector<std::int64_t>(expected.indices.size() + 1, -7)};
        max_pool({shape, input.data() + 1, actual.output.data() + 1, actual.indices.data()});
        ASSERT_EQ(actual.output.back(), 0x1234) << isa_name(rung);
        ASSERT_EQ(actual.indices.back(), -7) << isa_name(rung);
        actual.indices.pop_back();
        ASSERT_TRUE(actual.indices == expected.indices) << isa_name(rung);
        for (std::size_t i = 0; i < expected.output.size(); ++i) {
          const std::uint16_t bits = actual.output[i + 1], wanted = expected.output[i];
          const bool nan = std::isnan(half_to_float(shape.format, wanted));
          ASSERT_TRUE(nan ? std::isnan(half_to_float(shape.format, bits)) : bits == wanted)
              << isa_name(rung) << " element " << i;
        }
      }
    });
  });
}

TEST(MaxPoolBackward, SumsTheWindowsGradientsOnEveryRung) {
  for_each_rung(max_pool_backward_ladder(), [](Isa rung) {
    for_each_case([&](const PoolShape& shape) {
      const Halves input = values(shape.format, input_size(shape), 2, false);
      const Pooled forward = naive(shape, input.data());
      const Halves gradient = values(shape.format, output_size(shape) + 1, 3, false);
      // Sums of few multiples of 3/8 are exact in fp32.
      std::vector<double> sums(input.size());
      for_each_tap(shape, [&](std::int64_t o, std::int64_t index, std::int64_t i) {
        if (forward.indices[o] == index) sums[i] += half_to_float(shape.format, gradient[o + 1]);
      });
      Halves actual(input.size() + 2, 0x1234);
      max_pool_backward({shape, gradient.data() + 1, forward.indices.data(), actual.data() + 1});
      ASSERT_EQ(actual.front(), 0x1234) << isa_name(rung);
      ASSERT_EQ(actual.back(), 0x1234) << isa_name(rung);
      for (std::size_t i = 0; i < sums.size(); ++i) {
        ASSERT_EQ(
            half_to_float(shape.format, actual[i + 1]),
            half_to_float(shape.format, float_to_half(shape.format, static_cast<float>(sums[i]))))
            << isa_name(rung) << " element " << i;
      }
    });
  });
}

TEST(MaxPoolBackward, ANanGradientReachesOnlyTheElementTaken) {
  for_each_rung(max_pool_backward_ladder(), [](Isa rung) {
    for (bool channels_last : {false, true}) {
      PoolShape shape = pool_shape(1, 20, 9, 40, 3, 2, 1);
      shape.channels_last = channels_last;
      const Halves input = values(shape.format, input_size(shape), 4, false);
      const Pooled forward = naive(shape, input.data());
      Halves gradient(static_cast<std::size_t>(output_size(shape)));
      const std::size_t bad = gradient.size() / 2;
      gradient[bad] = float_to_half(shape.format, kNan);
      std::int64_t taken = -1;
      for_each_tap(shape, [&](std::int64_t o, std::int64_t index, std::int64_t i) {
        if (o == static_cast<std::int64_t>(bad) && forward.indices[o] == index) taken = i;
      });
      Halves actual(input.size());
      max_pool_backward({shape, gradient.data(), forward.indices.data(), actual.data()});
      for (std::size_t i = 0; i < actual.size(); ++i) {
        ASSERT_EQ(std::isnan(half_to_float(shape.format, actual[i])),
                  static_cast<std::int64_t>(i) == taken)
            << isa_name(rung) << " element " << i;
      }
    }
  });
}

}  // namespace
}  // namespace halftone::kernels
