#include "halftone/base/target.h"
#include "halftone/kernels/dot/dot.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx512 {
namespace {

constexpr std::int64_t kLanes = 16;

HALFTONE_TARGET_AVX512 __m512 load(HalfFormat format, __mmask16 mask, const std::uint16_t* p) {
  const __m256i bits = _mm256_maskz_loadu_epi16(mask, p);
  if (format == HalfFormat::fp16) return _mm512_cvtph_ps(bits);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

}  // namespace

HALFTONE_TARGET_AVX512 void dot(const DotArgs& args) {
  __m512 sums = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < args.length; i += kLanes) {
    const std::int64_t left = args.length - i;
    const auto mask =
        static_cast<__mmask16>(left >= kLanes ? 0xffffu : (1u << static_cast<unsigned>(left)) - 1);
    sums = _mm512_fmadd_ps(load(args.format, mask, args.a + i), load(args.format, mask, args.b + i),
                           sums);
  }
  *args.result = _mm512_reduce_add_ps(sums);
}

}  // namespace halftone::kernels::avx512
#endif
