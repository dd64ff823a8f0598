#include "halftone/base/target.h"
#include "halftone/kernels/dot/dot.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx2 {
namespace {

constexpr std::int64_t kLanes = 8;

HALFTONE_TARGET_AVX2 __m256 load(HalfFormat format, const std::uint16_t* p) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  if (format == HalfFormat::fp16) return _mm256_cvtph_ps(bits);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

}  // namespace

HALFTONE_TARGET_AVX2 void dot(const DotArgs& args) {
  __m256 sums = _mm256_setzero_ps();
  std::int64_t i = 0;
  for (; i + kLanes <= args.length; i += kLanes) {
    sums = _mm256_fmadd_ps(load(args.format, args.a + i), load(args.format, args.b + i), sums);
  }
  float lanes[kLanes];
  _mm256_storeu_ps(lanes, sums);
  float sum = 0;
  for (float lane : lanes) sum += lane;
  for (; i < args.length; ++i) {
    sum += half_to_float(args.format, args.a[i]) * half_to_float(args.format, args.b[i]);
  }
  *args.result = sum;
}

}  // namespace halftone::kernels::avx2
#endif
