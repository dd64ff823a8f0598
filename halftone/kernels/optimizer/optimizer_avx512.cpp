#include "halftone/base/target.h"
#include "halftone/kernels/optimizer/blocks.h"
#include "halftone/kernels/optimizer/optimizer.h"
#include "halftone/kernels/optimizer/rounding.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx512 {
namespace {

#include "halftone/kernels/vector/vec_avx512.inl.h"

#include "halftone/kernels/vector/draws_avx512.inl.h"

// stochastic_fp16 of rounding.h, lane by lane.
HALFTONE_RUNG __m256i stochastic_fp16_bits(Vec value, __m512i random) {
  const __m512i bits = _mm512_castps_si512(value);
  const __m512i magnitude = _mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff));
  const __mmask16 finite = _mm512_cmplt_epu32_mask(magnitude, _mm512_set1_epi32(0x7f800000));
  const __mmask16 tiny = _mm512_cmplt_epu32_mask(magnitude, _mm512_set1_epi32(0x38800000));
  const __m512i cut = _mm512_and_si512(_mm512_add_epi32(bits, _mm512_srli_epi32(random, 19)),
                                       _mm512_set1_epi32(~0x1fff));
  const __m256i normal = _mm512_cvtps_ph(
      _mm512_castsi512_ps(_mm512_mask_mov_epi32(bits, finite, cut)), _MM_FROUND_TO_NEAREST_INT);
  const __m512i fixed =
      _mm512_cvttps_epi32(_mm512_mul_ps(_mm512_castsi512_ps(magnitude), _mm512_set1_ps(0x1p45f)));
  const __m512i steps =
      _mm512_srli_epi32(_mm512_add_epi32(fixed, _mm512_srli_epi32(random, 11)), 21);
  const __m512i sign = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x8000));
  const __m256i subnormal = _mm512_cvtepi32_epi16(_mm512_or_si512(sign, steps));
  return _mm256_mask_mov_epi16(normal, tiny, subnormal);
}

HALFTONE_RUNG void store_half_stochastic(HalfFormat format, std::uint16_t* p, Vec value,
                                         std::uint64_t key, std::uint32_t element) {
  const __m512i random = draws(key, element);
  store_bits(p, format == HalfFormat::fp16 ? stochastic_fp16_bits(value, random)
                                           : upper_half(value, _mm512_srli_epi32(random, 16)));
}

struct Squares {
  __m512d low, high;
  HALFTONE_TARGET_AVX512 Squares() : low(_mm512_setzero_pd()), high(_mm512_setzero_pd()) {}
  HALFTONE_TARGET_AVX512 void add(Vec value) {
    const __m512d a = _mm512_cvtps_pd(_mm512_castps512_ps256(value));
    const __m512d b = _mm512_cvtps_pd(_mm512_extractf32x8_ps(value, 1));
    low = _mm512_add_pd(low, _mm512_mul_pd(a, a));
    high = _mm512_add_pd(high, _mm512_mul_pd(b, b));
  }
  HALFTONE_TARGET_AVX512 double total() const {
    return _mm512_reduce_add_pd(_mm512_add_pd(low, high));
  }
};

#include "halftone/kernels/optimizer/steps.inl.h"

template <Element format>
HALFTONE_RUNG Vec load_element(const void* data, std::int64_t i) {
  if constexpr (format == Element::fp32)
    return load(static_cast<const float*>(data) + i);
  else
    return load_half(half_format(format), static_cast<const std::uint16_t*>(data) + i);
}

// Four vectors in flight: an addition takes four cycles. One loop per format: a branch per vector
// costs a fifth of the bandwidth.
template <Element format>
HALFTONE_TARGET_AVX512 double square_sum_of(const void* data, std::int64_t length) {
  constexpr std::int64_t kStride = 4 * kLanes;
  Vec sums[4] = {splat(0), splat(0), splat(0), splat(0)};
  std::int64_t i = 0;
  for (; i + kStride <= length; i += kStride) {
    read_ahead(element_address(format, data, i), kStride * (format == Element::fp32 ? 4 : 2));
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const Vec value = load_element<format>(data, i + k * kLanes);
      sums[k] = _mm512_fmadd_ps(value, value, sums[k]);
    }
  }
  for (; i + kLanes <= length; i += kLanes) {
    const Vec value = load_element<format>(data, i);
    sums[0] = _mm512_fmadd_ps(value, value, sums[0]);
  }
  float sum = _mm512_reduce_add_ps(_mm512_add_ps(sums[0] + sums[1], sums[2] + sums[3]));
  for (; i < length; ++i) {
    const float value = element_value(format, data, i);
    sum += value * value;
  }
  return fp32_sum_holds(sum) ? sum : wide_square_sum(format, data, length);
}

double square_sum(Element format, const void* data, std::int64_t length) {
  switch (format) {
    case Element::fp32:
      return square_sum_of<Element::fp32>(data, length);
    case Element::fp16:
      return square_sum_of<Element::fp16>(data, length);
    default:
      return square_sum_of<Element::bf16>(data, length);
  }
}

}  // namespace

void gradient_check(const GradientCheckArgs& args) { check_blocks(args, square_sum); }
void optimizer_update(const OptimizerUpdateArgs& args) { update_blocks(args, update_vectors); }

}  // namespace halftone::kernels::avx512

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
#endif
