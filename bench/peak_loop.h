// What the multiplying unit of a rung can do: a loop over registers alone, on random numbers.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <chrono>
#include <cstdint>
#include <ctime>
#include <vector>

#include "halftone/base/half.h"
#include "halftone/base/isa.h"
#include "halftone/base/target.h"
#include "halftone/kernels/product/product.h"

#if HALFTONE_X86
#include <immintrin.h>
#endif

namespace halftone {

#if HALFTONE_X86
// 2^14 steps of twelve independent sums: a latency of 4 on two units takes eight. Each is a
// variable of its own, since GCC 12 keeps an array of them on the stack, and the loop then measures
// stores.
constexpr int kPeakSteps = 1 << 14, kPeakSums = 12;

// No function of one target may be inlined into another's: a macro is the body of each.
#define HALFTONE_TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define HALFTONE_PEAK_START(I) auto sum##I = LOAD(numbers + I);
#define HALFTONE_PEAK_STEP(I) \
  sum##I = FMA(a, b, sum##I); \
  __asm__ volatile("" : "+v"(sum##I));
#define HALFTONE_PEAK_END(I) total = total + sum##I;
#define HALFTONE_PEAK_BODY                              \
  const auto a = LOAD(numbers), b = LOAD(numbers + 16); \
  HALFTONE_TWELVE(HALFTONE_PEAK_START)                  \
  for (int step = 0; step < kPeakSteps; ++step) {       \
    HALFTONE_TWELVE(HALFTONE_PEAK_STEP)                 \
  }                                                     \
  auto total = a + b;                                   \
  HALFTONE_TWELVE(HALFTONE_PEAK_END)                    \
  return total[0];

#define LOAD _mm256_loadu_ps
#define FMA _mm256_fmadd_ps
__attribute__((noinline, target("avx2,fma"))) inline float peak_avx2(const float* numbers) {
  HALFTONE_PEAK_BODY
}
#undef LOAD
#undef FMA
#define LOAD _mm512_loadu_ps
#define FMA _mm512_fmadd_ps
__attribute__((noinline, target("avx512f"))) inline float peak_avx512(const float* numbers) {
  HALFTONE_PEAK_BODY
}
#undef LOAD
#undef FMA
// Two products of bf16 and their sum in each lane, by the pairs of random halves.
#define LOAD _mm512_loadu_ps
#define FMA(x, y, sum) _mm512_dpbf16_ps(sum, (__m512bh)(x), (__m512bh)(y))
__attribute__((noinline, target("avx512f,avx512bf16"))) inline float peak_pairs(
    const float* numbers) {
  HALFTONE_PEAK_BODY
}
#undef LOAD
#undef FMA
#undef HALFTONE_PEAK_BODY
#undef HALFTONE_TWELVE
#undef HALFTONE_PEAK_START
#undef HALFTONE_PEAK_STEP
#undef HALFTONE_PEAK_END
#endif

// GFLOP/s of all threads on the unit that the rung multiplies this format with: fp32 FMA of its
// width, or VDPBF16PS where the product takes it; 0 for the rungs above (no loop for their units).
inline double unit_peak(HalfFormat format) {
#if HALFTONE_X86
  if (isa() != Isa::avx2 && isa() != Isa::avx512) return 0;
  const bool wide = isa() == Isa::avx512;
  kernels::ProductArgs args;
  args.format = format;
  const bool pairs = wide && !kernels::avx512::pair_product_refuses(args);
  const auto loop = pairs ? peak_pairs : wide ? peak_avx512 : peak_avx2;
  const at::Tensor numbers = at::randn({64});
  const float* from = numbers.const_data_ptr<float>();
  const int threads = at::get_num_threads();
  std::vector<float> kept(static_cast<std::size_t>(threads));
  constexpr int kRepeats = 40;  // some 5 ms
  const auto start = std::chrono::steady_clock::now();
  at::parallel_for(0, threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t thread = begin; thread < end; ++thread) {
      float sum = 0;
      for (int i = 0; i < kRepeats; ++i) sum += loop(from);
      kept[static_cast<std::size_t>(thread)] = sum;
    }
  });
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  volatile float used = kept[0];
  static_cast<void>(used);
  const double lanes = (wide ? 16 : 8) * (pairs ? 2 : 1);
  return 2 * lanes * kPeakSums * kPeakSteps * kRepeats * threads / seconds.count() / 1e9;
#else
  return 0;
#endif
}

// How much of the cores' time a measurement got: CPU seconds over threads times wall seconds. Below
// 1 other programs ran beside it (threads that wait spin), and its figures mean nothing.
class CoreShare {
 public:
  double value() const {
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - wall_;
    return (cpu_seconds() - cpu_) / (wall.count() * at::get_num_threads());
  }

 private:
  static double cpu_seconds() {
    return static_cast<double>(std::clock()) / static_cast<double>(CLOCKS_PER_SEC);
  }
  std::chrono::steady_clock::time_point wall_ = std::chrono::steady_clock::now();
  double cpu_ = cpu_seconds();
};

}  // namespace halftone
