// The vector wrappers of every rung against base/half.h and fp64.
#include <algorithm>
#include <bit>
#include <cmath>
#include <iostream>
#include <limits>
#include <random>
#include <vector>

#include "halftone/base/half.h"
#include "halftone/base/isa.h"
#include "halftone/base/target.h"
#include "tests/support/test.h"

#if HALFTONE_X86
#include <immintrin.h>
#endif

namespace halftone::kernels {
namespace {

// What a rung's wrapper does, behind plain pointers.
struct VectorRung {
  Isa rung;
  std::int64_t lanes;
  void (*to_half)(HalfFormat, const float*, std::uint16_t*, std::int64_t length);
  void (*to_float)(HalfFormat, const std::uint16_t*, float*, std::int64_t length);
  void (*exponentials)(const float*, float*, std::int64_t length);
  void (*reduce)(const float* lanes, float* sum_and_max);
  // where_le, copy_sign, fnmadd, smaller, larger of one vector each
  void (*lanewise)(const float* a, const float* b, float* results);
};

#define HALFTONE_VECTOR_RUNG(isa)                                                           \
  HALFTONE_RUNG_ENTRY void to_half(HalfFormat format, const float* in, std::uint16_t* out,  \
                                   std::int64_t length) {                                   \
    std::int64_t i = 0;                                                                     \
    for (; i + kLanes <= length; i += kLanes) store_half(format, out + i, load(in + i));    \
    store_half_part(format, out + i, load_part(in + i, length - i), length - i);            \
  }                                                                                         \
  HALFTONE_RUNG_ENTRY void to_float(HalfFormat format, const std::uint16_t* in, float* out, \
                                    std::int64_t length) {                                  \
    std::int64_t i = 0;                                                                     \
    for (; i + kLanes <= length; i += kLanes) store(out + i, load_half(format, in + i));    \
    store_part(out + i, load_half_part(format, in + i, length - i), length - i);            \
  }                                                                                         \
  HALFTONE_RUNG_ENTRY void exponentials(const float* in, float* out, std::int64_t length) { \
    std::int64_t i = 0;                                                                     \
    for (; i + kLanes <= length; i += kLanes) store(out + i, exponential(load(in + i)));    \
    store_part(out + i, exponential(load_part(in + i, length - i)), length - i);            \
  }                                                                                         \
  HALFTONE_RUNG_ENTRY void reduce(const float* in, float* out) {                            \
    out[0] = reduce_add(load(in));                                                          \
    out[1] = reduce_max(load(in));                                                          \
  }                                                                                         \
  HALFTONE_RUNG_ENTRY void lanewise(const float* a, const float* b, float* out) {           \
    const Vec x = load(a), y = load(b);                                                     \
    store(out, where_le(x, y, splat(1), splat(2)));                                         \
    store(out + kLanes, copy_sign(x, y));                                                   \
    store(out + 2 * kLanes, fnmadd(x, y, splat(1)));                                        \
    store(out + 3 * kLanes, smaller(x, y));                                                 \
    store(out + 4 * kLanes, larger(x, y));                                                  \
  }                                                                                         \
  constexpr VectorRung kRung{isa, kLanes, to_half, to_float, exponentials, reduce, lanewise};

namespace vector_ref {
#include "halftone/kernels/vector/vec_ref.inl.h"
//
#include "halftone/kernels/vector/math.inl.h"
HALFTONE_VECTOR_RUNG(Isa::ref)
#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
}  // namespace vector_ref

#if HALFTONE_X86
namespace vector_avx2 {
#include "halftone/kernels/vector/vec_avx2.inl.h"
//
#include "halftone/kernels/vector/math.inl.h"
HALFTONE_VECTOR_RUNG(Isa::avx2)
#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
}  // namespace vector_avx2

namespace vector_avx512 {
#include "halftone/kernels/vector/vec_avx512.inl.h"
//
#include "halftone/kernels/vector/math.inl.h"
HALFTONE_VECTOR_RUNG(Isa::avx512)
#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
}  // namespace vector_avx512
#endif
#undef HALFTONE_VECTOR_RUNG

template <class Check>
void for_each_vector_rung(Check&& check) {
  check(vector_ref::kRung);
#if HALFTONE_X86
  for (const VectorRung& each : {vector_avx2::kRung, vector_avx512::kRung}) {
    const auto& machine = machine_isas();
    if (std::find(machine.begin(), machine.end(), each.rung) != machine.end()) {
      check(each);
    } else {
      std::cout << "  not run: vectors of " << isa_name(each.rung) << " (this machine lacks it)\n";
    }
  }
#endif
}

TEST(Vector, ReadsAndWritesEveryHalfAsTheReferenceDoes) {
  for_each_vector_rung([](const VectorRung& rung) {
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      std::vector<std::uint16_t> bits(65536), back(65536);
      std::vector<float> values(65536);
      for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<std::uint16_t>(i);
      rung.to_float(format, bits.data(), values.data(), 65536);
      rung.to_half(format, values.data(), back.data(), 65536);
      for (std::size_t i = 0; i < bits.size(); ++i) {
        const float expected = half_to_float(format, bits[i]);
        ASSERT_EQ(std::isnan(values[i]), std::isnan(expected)) << isa_name(rung.rung);
        if (!std::isnan(expected)) {
          ASSERT_EQ(std::bit_cast<std::uint32_t>(values[i]), std::bit_cast<std::uint32_t>(expected))
              << isa_name(rung.rung) << " bits " << i;
        }
        ASSERT_EQ(back[i], float_to_half(format, values[i]))
            << isa_name(rung.rung) << " bits " << i;
      }
    }
  });
}

TEST(Vector, RoundsToHalfAsTheReferenceDoes) {
  std::mt19937 random(1);
  std::vector<float> values;
  for (int i = 0; i < 100'003; ++i)
    values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(random())));
  for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {  // ties and their neighbours
    for (unsigned bits = 1; bits < 0x7c00; bits += 3) {
      const float below = half_to_float(format, static_cast<std::uint16_t>(bits));
      const float above = half_to_float(format, static_cast<std::uint16_t>(bits + 1));
      const float middle = below + (above - below) / 2;
      values.insert(values.end(),
                    {middle, std::nextafter(middle, 0.0f), -std::nextafter(middle, above)});
    }
  }
  const auto length = static_cast<std::int64_t>(values.size());
  for_each_vector_rung([&](const VectorRung& rung) {
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      std::vector<std::uint16_t> rounded(values.size());
      rung.to_half(format, values.data(), rounded.data(), length);
      for (std::size_t i = 0; i < values.size(); ++i) {
        ASSERT_EQ(rounded[i], float_to_half(format, values[i]))
            << isa_name(rung.rung) << " of " << values[i];
      }
    }
  });
}

TEST(Vector, TouchesNothingBehindAPart) {
  for_each_vector_rung([](const VectorRung& rung) {
    for (HalfFormat format : {HalfFormat::fp16, HalfFormat::bf16}) {
      for (std::int64_t length = 0; length <= 2 * rung.lanes; ++length) {
        const std::vector<float> ones(40, 1);
        std::vector<std::uint16_t> halves(41, 7);
        rung.to_half(format, ones.data(), halves.data() + 1, length);
        std::vector<float> floats(41, 7);
        rung.to_float(format, halves.data() + 1, floats.data() + 1, length);
        for (std::int64_t i = -1; i < 40; ++i) {
          const bool inside = i >= 0 && i < length;
          ASSERT_EQ(halves[i + 1], inside ? float_to_half(format, 1) : 7) << isa_name(rung.rung);
          ASSERT_EQ(floats[i + 1], inside ? 1 : 7) << isa_name(rung.rung);
        }
      }
    }
  });
}

TEST(Vector, ExponentialIsWithinTwoUlp) {
  std::vector<float> x;
  for (float each = -104.5f; each < 89.5f; each += 0.00173f) x.push_back(each);
  for (float each :
       {0.0f, -0.0f, 1e-30f, -1e-8f, 88.722f, 88.73f, -87.4f, -103.97f, -1e30f, 1e30f}) {
    x.push_back(each);
  }
  std::vector<float> y(x.size());
  for_each_vector_rung([&](const VectorRung& rung) {
    rung.exponentials(x.data(), y.data(), static_cast<std::int64_t>(x.size()));
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double exact = std::exp(static_cast<double>(x[i]));
      if (exact > std::numeric_limits<float>::max()) {
        ASSERT_TRUE(std::isinf(y[i])) << isa_name(rung.rung) << " of " << x[i];
        continue;
      }
      const double ulp = std::max(0x1p-149, std::ldexp(1.0, std::ilogb(exact) - 23));
      ASSERT_NEAR(y[i], exact, 2 * ulp) << isa_name(rung.rung) << " of " << x[i];
    }
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const float special[] = {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()};
    float results[3];
    rung.exponentials(special, results, 3);
    EXPECT_EQ(results[0], kInfinity) << isa_name(rung.rung);
    EXPECT_EQ(results[1], 0) << isa_name(rung.rung);
    EXPECT_TRUE(std::isnan(results[2])) << isa_name(rung.rung);
  });
}

TEST(Vector, ReducesAndComparesLaneByLane) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> a(16), b(16);
  for (int i = 0; i < 16; ++i) a[i] = static_cast<float>(i * i) - 20, b[i] = 7.0f * (i % 3) - 6;
  b[0] = a[0];
  for_each_vector_rung([&](const VectorRung& rung) {
    const auto n = static_cast<std::size_t>(rung.lanes);
    float reduced[2];
    rung.reduce(a.data(), reduced);
    float sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += a[i];
    EXPECT_EQ(reduced[0], sum) << isa_name(rung.rung);
    EXPECT_EQ(reduced[1], *std::max_element(a.begin(), a.begin() + n)) << isa_name(rung.rung);

    std::vector<float> out(5 * n);
    rung.lanewise(a.data(), b.data(), out.data());
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_EQ(out[i], a[i] <= b[i] ? 1 : 2) << isa_name(rung.rung);
      EXPECT_EQ(out[n + i], std::copysign(a[i], b[i])) << isa_name(rung.rung);
      EXPECT_EQ(out[2 * n + i], 1 - a[i] * b[i]) << isa_name(rung.rung);
      EXPECT_EQ(out[3 * n + i], std::min(a[i], b[i])) << isa_name(rung.rung);
      EXPECT_EQ(out[4 * n + i], std::max(a[i], b[i])) << isa_name(rung.rung);
    }
    const std::vector<float> nans(16, nan);
    rung.lanewise(a.data(), nans.data(), out.data());  // the second operand is NaN
    EXPECT_EQ(out[0], 2) << isa_name(rung.rung);
    EXPECT_TRUE(std::isnan(out[3 * n])) << isa_name(rung.rung);
    EXPECT_TRUE(std::isnan(out[4 * n])) << isa_name(rung.rung);
    rung.lanewise(nans.data(), b.data(), out.data());
    EXPECT_EQ(out[0], 2) << isa_name(rung.rung);
    EXPECT_EQ(out[3 * n], b[0]) << isa_name(rung.rung);
    EXPECT_EQ(out[4 * n], b[0]) << isa_name(rung.rung);
  });
}

}  // namespace
}  // namespace halftone::kernels
