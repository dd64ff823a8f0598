#include "halftone/base/target.h"
#include "halftone/kernels/dot/dot.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx512_fp16 {
namespace {

constexpr std::int64_t kLanes = 32;

// `left` elements from p, zeros behind them.
HALFTONE_TARGET_AVX512_FP16 __m512h load(const std::uint16_t* p, std::int64_t left) {
  const __mmask32 mask = left >= kLanes ? 0xffffffffu
                         : left <= 0    ? 0u
                                        : (1u << static_cast<unsigned>(left)) - 1;
  return _mm512_castsi512_ph(_mm512_maskz_loadu_epi16(mask, p));
}

}  // namespace

const char* dot_refuses(const DotArgs& args) {
  return args.format == HalfFormat::bf16 ? "the unit has no bf16 arithmetic" : nullptr;
}

// Two products per lane in fp16, then promotion to fp32.
HALFTONE_TARGET_AVX512_FP16 void dot(const DotArgs& args) {
  __m512 sums = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < args.length; i += 2 * kLanes) {
    const std::int64_t left = args.length - i;
    __m512h pair = _mm512_mul_ph(load(args.a + i, left), load(args.b + i, left));
    if (left > kLanes) {
      pair = _mm512_fmadd_ph(load(args.a + i + kLanes, left - kLanes),
                             load(args.b + i + kLanes, left - kLanes), pair);
    }
    const __m512i bits = _mm512_castph_si512(pair);
    sums = _mm512_add_ps(sums, _mm512_cvtph_ps(_mm512_castsi512_si256(bits)));
    sums = _mm512_add_ps(sums, _mm512_cvtph_ps(_mm512_extracti64x4_epi64(bits, 1)));
  }
  *args.result = _mm512_reduce_add_ps(sums);
}

}  // namespace halftone::kernels::avx512_fp16
#endif
