#include "halftone/kernels/elementwise/elementwise.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "tests/support/rungs.h"
#include "tests/support/test.h"

namespace halftone::kernels {
namespace {

using HalfValues = std::vector<std::uint16_t>;
constexpr HalfFormat kElementwiseFormats[] = {HalfFormat::fp16, HalfFormat::bf16};

HalfValues every_half() {
  HalfValues values(65536);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint16_t>(i);
  return values;
}

bool passes_relu(HalfFormat format, std::uint16_t x) {
  const float value = half_to_float(format, x);
  return std::isnan(value) || value > 0;
}

TEST(Relu, EveryHalf) {
  const HalfValues x = every_half();
  for_each_rung(relu_ladder(), [&](Isa rung) {
    for (HalfFormat format : kElementwiseFormats) {
      HalfValues y(x.size());
      relu({format, 65536, x.data(), y.data()});
      for (std::size_t i = 0; i < x.size(); ++i) {
        ASSERT_EQ(y[i], passes_relu(format, x[i]) ? x[i] : 0) << isa_name(rung) << " " << i;
      }
    }
  });
}

TEST(ReluBackward, EveryHalfAsTheResult) {
  const HalfValues x = every_half(), g(x.rbegin(), x.rend());
  for_each_rung(relu_backward_ladder(), [&](Isa rung) {
    for (HalfFormat format : kElementwiseFormats) {
      HalfValues dx(x.size());
      relu_backward({format, 65536, g.data(), x.data(), dx.data()});
      for (std::size_t i = 0; i < x.size(); ++i) {
        ASSERT_EQ(dx[i], passes_relu(format, x[i]) ? g[i] : 0) << isa_name(rung) << " " << i;
      }
    }
  });
}

TEST(Add, IsAnFmaInFp32RoundedToHalf) {
  HalfValues a = every_half(), b = a;
  std::shuffle(b.begin(), b.end(), std::mt19937(5));
  for_each_rung(add_ladder(), [&](Isa rung) {
    for (HalfFormat format : kElementwiseFormats) {
      for (float alpha : {1.0f, -0.3f}) {
        HalfValues sum(a.size());
        add({format, 65536, a.data(), b.data(), alpha, sum.data()});
        for (std::size_t i = 0; i < a.size(); ++i) {
          const float exact =
              std::fma(alpha, half_to_float(format, b[i]), half_to_float(format, a[i]));
          ASSERT_EQ(sum[i], float_to_half(format, exact)) << isa_name(rung) << " " << i;
        }
      }
    }
  });
}

TEST(Elementwise, TouchesNothingBeyondItsElementsAndWorksInPlace) {
  constexpr std::uint16_t kGuard = 0x1234;
  const HalfValues all = every_half();
  for_each_rung(relu_ladder(), [&](Isa rung) {
    for (HalfFormat format : kElementwiseFormats) {
      for (std::int64_t n : {0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 200}) {
        const auto size = static_cast<std::size_t>(n);
        HalfValues a(all.begin() + 0x3b81, all.begin() + 0x3b81 + n), b(a.rbegin(), a.rend());
        for (std::size_t i = 0; i < size; i += 2) a[i] ^= 0x8000;
        HalfValues y(size + 2, kGuard), dx = y, sum = y;
        relu({format, n, a.data(), y.data() + 1});
        relu_backward({format, n, b.data(), a.data(), dx.data() + 1});
        add({format, n, a.data(), b.data(), 1, sum.data() + 1});
        HalfValues in_y = a, in_dx = b, in_sum = a;
        relu({format, n, in_y.data(), in_y.data()});
        relu_backward({format, n, in_dx.data(), a.data(), in_dx.data()});
        add({format, n, in_sum.data(), b.data(), 1, in_sum.data()});
        for (const HalfValues* each : {&y, &dx, &sum}) {
          EXPECT_TRUE(each->front() == kGuard && each->back() == kGuard) << isa_name(rung) << n;
        }
        for (std::size_t i = 0; i < size; ++i) {
          ASSERT_EQ(y[i + 1], passes_relu(format, a[i]) ? a[i] : 0) << isa_name(rung) << n;
          ASSERT_EQ(dx[i + 1], passes_relu(format, a[i]) ? b[i] : 0) << isa_name(rung) << n;
          const float exact = half_to_float(format, a[i]) + half_to_float(format, b[i]);
          ASSERT_EQ(sum[i + 1], float_to_half(format, exact)) << isa_name(rung) << n;
          ASSERT_TRUE(in_y[i] == y[i + 1] && in_dx[i] == dx[i + 1] && in_sum[i] == sum[i + 1]);
        }
      }
    }
  });
}

}  // namespace
}  // namespace halftone::kernels
