// Random halves and how far results are from fp64: for the tests of products and convolutions.
#pragma once

#include <cmath>
#include <random>
#include <vector>

#include "halftone/base/half.h"
#include "halftone/base/isa.h"
#include "tests/support/tolerances.h"

namespace halftone::kernels {

using Halves = std::vector<std::uint16_t>;

// N(0, 1).
inline Halves normal_halves(HalfFormat format, std::int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Halves values(static_cast<std::size_t>(count));
  for (auto& each : values) each = float_to_half(format, normal(random));
  return values;
}

inline double value_of(HalfFormat format, std::uint16_t bits) {
  return half_to_float(format, bits);
}
inline double value_of(HalfFormat, float value) { return value; }

// |got - exact| / |exact|, both as 2-norms; infinite where an element is not finite.
template <class T>
double relative_rms(HalfFormat format, const std::vector<T>& got,
                    const std::vector<double>& exact) {
  double error = 0, size = 1e-300;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double difference = value_of(format, got[i]) - exact[i];
    error += difference * difference;
    size += exact[i] * exact[i];
  }
  return std::isfinite(error) ? std::sqrt(error / size) : INFINITY;
}

inline double product_tolerance(HalfFormat format, Isa rung = isa()) {
  if (format == HalfFormat::fp16 && rung == Isa::avx512_fp16) return tolerance::kProductAvx512Fp16;
  return format == HalfFormat::fp16 ? tolerance::kProductFp16 : tolerance::kProductBf16;
}

// Of results in fp32: where the sums are fp32, and where some of them are not.
inline double fp32_tolerance(HalfFormat format, Isa rung = isa()) {
  if (format == HalfFormat::bf16 || rung < Isa::avx512_fp16) return tolerance::kProductFp32;
  return rung == Isa::avx512_fp16  ? tolerance::kProductAvx512Fp16
         : cpu_features().amx_fp16 ? tolerance::kProductFp32
                                   : tolerance::kProductSplit;
}

}  // namespace halftone::kernels
