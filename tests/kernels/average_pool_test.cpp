#include "halftone/kernels/average_pool/average_pool.h"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/support/rungs.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::kernels {
namespace {

AverageAxis sliding_axis(std::int64_t in, std::int64_t kernel, std::int64_t stride,
                         std::int64_t pad, bool count_pad, bool ceil_mode = false) {
  std::int64_t out = (in + 2 * pad - kernel + (ceil_mode ? stride - 1 : 0)) / stride + 1;
  if (ceil_mode && (out - 1) * stride >= in + pad) --out;
  return {in, out, false, kernel, stride, pad, count_pad};
}

AverageAxis adaptive_axis(std::int64_t in, std::int64_t out) {
  return {in, out, true, 1, 1, 0, false};
}

std::vector<AverageShape> average_shapes() {
  const auto shape = [](std::int64_t batch, std::int64_t channels, AverageAxis h, AverageAxis w,
                        std::int64_t divisor = 0) {
    return AverageShape{HalfFormat::fp16, false, batch, channels, h, w, divisor};
  };
  return {
      shape(2, 3, sliding_axis(8, 2, 2, 0, true), sliding_axis(10, 2, 2, 0, true)),
      shape(1, 33, sliding_axis(7, 3, 1, 1, true), sliding_axis(9, 3, 1, 1, true)),
      shape(1, 17, sliding_axis(7, 3, 1, 1, false), sliding_axis(40, 5, 1, 2, false)),
      shape(1, 70, sliding_axis(9, 3, 2, 1, false, true), sliding_axis(12, 3, 2, 1, false, true)),
      shape(1, 4, sliding_axis(9, 3, 2, 1, true, true), sliding_axis(80, 4, 2, 1, true, true)),
      shape(1, 4, sliding_axis(9, 2, 3, 0, true), sliding_axis(80, 4, 5, 2, true)),
      shape(1, 4, sliding_axis(9, 3, 2, 1, true), sliding_axis(33, 3, 2, 1, true), 7),
      shape(1, 64, sliding_axis(5, 2, 2, 0, true), sliding_axis(5, 2, 2, 0, true)),
      shape(3, 20, adaptive_axis(7, 1), adaptive_axis(7, 1)),
      shape(1, 5, adaptive_axis(14, 7), adaptive_axis(15, 7)),
      shape(1, 64, adaptive_axis(3, 7), adaptive_axis(5, 1)),
      shape(1, 1, adaptive_axis(70, 1), adaptive_axis(90, 1)),
      shape(0, 4, adaptive_axis(4, 2), adaptive_axis(4, 2)),
      shape(1, 2, sliding_axis(3, 1, 1, 0, true), sliding_axis(kAverageWidth, 1, 1, 0, true))};
}

std::int64_t place(const AverageShape& s, std::int64_t h, std::int64_t w, std::int64_t n,
                   std::int64_t c, std::int64_t y, std::int64_t x) {
  return s.channels_last ? ((n * h + y) * w + x) * s.channels + c
                         : ((n * s.channels + c) * h + y) * w + x;
}

// body(output element, input element, divisor) for all terms.
template <class Body>
void for_each_term(const AverageShape& s, Body body) {
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t c = 0; c < s.channels; ++c)
      for (std::int64_t oh = 0; oh < s.h.out; ++oh)
        for (std::int64_t ow = 0; ow < s.w.out; ++ow) {
          const AverageRange rows = s.h.window(oh), columns = s.w.window(ow);
          const std::int64_t divisor = s.divisor ? s.divisor : s.h.count(oh) * s.w.count(ow);
          for (std::int64_t y = rows.begin; y < rows.end; ++y)
            for (std::int64_t x = columns.begin; x < columns.end; ++x)
              body(place(s, s.h.out, s.w.out, n, c, oh, ow), place(s, s.h.in, s.w.in, n, c, y, x),
                   static_cast<double>(divisor));
        }
}

template <class Check>
void for_each_average(Check check) {
  int index = 0;
  for (AverageShape shape : average_shapes()) {
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      for (bool channels_last : {false, true}) {
        shape.format = format;
        shape.channels_last = channels_last;
        SCOPED_TRACE(testing::Message() << "shape " << index << " last " << channels_last);
        check(shape);
      }
    }
    ++index;
  }
}

struct Exact {
  std::vector<double> value, magnitude;
};

void expect_close(HalfFormat format, const std::vector<std::uint16_t>& actual, const Exact& exact,
                  Isa rung) {
  ASSERT_EQ(actual.front(), 0x1234) << isa_name(rung);
  ASSERT_EQ(actual.back(), 0x1234) << isa_name(rung);
  const bool fp16 = format == HalfFormat::fp16;
  const double unit = fp16 ? tolerance::kFp16Unit : tolerance::kBf16Unit;
  for (std::size_t i = 0; i < exact.value.size(); ++i) {
    ASSERT_NEAR(half_to_float(format, actual[i + 1]), exact.value[i],
                std::abs(exact.value[i]) * unit + (fp16 ? 0x1p-25 : 0) +
                    tolerance::kFp32 * exact.magnitude[i])
        << isa_name(rung) << " element " << i;
  }
}

std::vector<std::uint16_t> gaussian(HalfFormat format, std::int64_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<std::uint16_t> list(static_cast<std::size_t>(n));
  for (auto& each : list) each = float_to_half(format, normal(random));
  return list;
}

std::int64_t inputs(const AverageShape& s) { return s.batch * s.channels * s.h.in * s.w.in; }
std::int64_t outputs(const AverageShape& s) { return s.batch * s.channels * s.h.out * s.w.out; }

TEST(AveragePool, MatchesFp64OnEveryRungFormatAndLayout) {
  for_each_rung(average_pool_ladder(), [](Isa rung) {
    for_each_average([&](const AverageShape& s) {
      const auto x = gaussian(s.format, inputs(s) + 1, 1);
      std::vector<std::uint16_t> y(static_cast<std::size_t>(outputs(s) + 2), 0x1234);
      Exact exact{std::vector<double>(y.size() - 2), std::vector<double>(y.size() - 2)};
      for_each_term(s, [&](std::int64_t o, std::int64_t i, double divisor) {
        const double term = half_to_float(s.format, x[i + 1]) / divisor;
        exact.value[o] += term, exact.magnitude[o] += std::abs(term);
      });
      average_pool({s, x.data() + 1, y.data() + 1});
      expect_close(s.format, y, exact, rung);
    });
  });
}

TEST(AveragePoolBackward, MatchesFp64OnEveryRungFormatAndLayout) {
  for_each_rung(average_pool_backward_ladder(), [](Isa rung) {
    for_each_average([&](const AverageShape& s) {
      const auto g = gaussian(s.format, outputs(s) + 1, 2);
      std::vector<std::uint16_t> dx(static_cast<std::size_t>(inputs(s) + 2), 0x1234);
      Exact exact{std::vector<double>(dx.size() - 2), std::vector<double>(dx.size() - 2)};
      for_each_term(s, [&](std::int64_t o, std::int64_t i, double divisor) {
        const double term = half_to_float(s.format, g[o + 1]) / divisor;
        exact.value[i] += term, exact.magnitude[i] += std::abs(term);
      });
      average_pool_backward({s, g.data() + 1, dx.data() + 1});
      expect_close(s.format, dx, exact, rung);
    });
  });
}

TEST(AveragePool, NanAndInfinityReachTheWindowsThatSeeThemOnly) {
  for_each_rung(average_pool_ladder(), [](Isa rung) {
    for (bool channels_last : {false, true}) {
      AverageShape s{HalfFormat::bf16,
                     channels_last,
                     1,
                     19,
                     sliding_axis(8, 3, 1, 1, true),
                     sliding_axis(9, 3, 1, 1, true),
                     0};
      auto x = gaussian(s.format, inputs(s), 3);
      const std::int64_t bad = place(s, s.h.in, s.w.in, 0, 4, 0, 8);
      x[bad] = float_to_bf16(std::numeric_limits<float>::infinity());
      std::vector<std::uint16_t> y(static_cast<std::size_t>(outputs(s)));
      std::vector<bool> seen(y.size());
      for_each_term(s, [&](std::int64_t o, std::int64_t i, double) {
        if (i == bad) seen[o] = true;
      });
      average_pool({s, x.data(), y.data()});
      for (std::size_t i = 0; i < y.size(); ++i) {
        ASSERT_EQ(std::isfinite(bf16_to_float(y[i])), !seen[i]) << isa_name(rung);
      }
    }
  });
}

}  // namespace
}  // namespace halftone::kernels
