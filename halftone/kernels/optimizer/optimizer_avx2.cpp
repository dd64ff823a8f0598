#include "halftone/base/target.h"
#include "halftone/kernels/optimizer/blocks.h"
#include "halftone/kernels/optimizer/optimizer.h"
#include "halftone/kernels/optimizer/rounding.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx2 {
namespace {

#include "halftone/kernels/vector/vec_avx2.inl.h"

#include "halftone/kernels/vector/draws_avx2.inl.h"

// stochastic_fp16 of rounding.h, lane by lane. Magnitudes are below 2^31, so that signed comparison
// serves.
HALFTONE_RUNG __m128i stochastic_fp16_bits(Vec value, __m256i random) {
  const __m256i bits = _mm256_castps_si256(value);
  const __m256i magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(0x7fffffff));
  const __m256i finite = _mm256_cmpgt_epi32(_mm256_set1_epi32(0x7f800000), magnitude);
  const __m256i tiny = _mm256_cmpgt_epi32(_mm256_set1_epi32(0x38800000), magnitude);
  const __m256i cut = _mm256_and_si256(_mm256_add_epi32(bits, _mm256_srli_epi32(random, 19)),
                                       _mm256_set1_epi32(~0x1fff));
  const __m128i normal = _mm256_cvtps_ph(_mm256_castsi256_ps(_mm256_blendv_epi8(bits, cut, finite)),
                                         _MM_FROUND_TO_NEAREST_INT);
  // Lanes that are not tiny convert to 0x80000000 and are not used.
  const __m256i fixed =
      _mm256_cvttps_epi32(_mm256_mul_ps(_mm256_castsi256_ps(magnitude), _mm256_set1_ps(0x1p45f)));
  const __m256i steps =
      _mm256_srli_epi32(_mm256_add_epi32(fixed, _mm256_srli_epi32(random, 11)), 21);
  const __m256i sign = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(0x8000));
  const __m128i subnormal = lower_halves(_mm256_or_si256(sign, steps));
  const __m128i choice =
      _mm_packs_epi32(_mm256_castsi256_si128(tiny), _mm256_extracti128_si256(tiny, 1));
  return _mm_blendv_epi8(normal, subnormal, choice);
}

HALFTONE_RUNG void store_half_stochastic(HalfFormat format, std::uint16_t* p, Vec value,
                                         std::uint64_t key, std::uint32_t element) {
  const __m256i random = draws(key, element);
  store_bits(p, format == HalfFormat::fp16 ? stochastic_fp16_bits(value, random)
                                           : upper_half(value, _mm256_srli_epi32(random, 16)));
}

struct Squares {
  __m256d low, high;
  HALFTONE_TARGET_AVX2 Squares() : low(_mm256_setzero_pd()), high(_mm256_setzero_pd()) {}
  HALFTONE_TARGET_AVX2 void add(Vec value) {
    const __m256d a = _mm256_cvtps_pd(_mm256_castps256_ps128(value));
    const __m256d b = _mm256_cvtps_pd(_mm256_extractf128_ps(value, 1));
    low = _mm256_add_pd(low, _mm256_mul_pd(a, a));
    high = _mm256_add_pd(high, _mm256_mul_pd(b, b));
  }
  HALFTONE_TARGET_AVX2 double total() const {
    double lanes[4];
    _mm256_storeu_pd(lanes, _mm256_add_pd(low, high));
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
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

// Four vectors in flight: an addition takes four cycles.
template <Element format>
HALFTONE_TARGET_AVX2 double square_sum_of(const void* data, std::int64_t length) {
  constexpr std::int64_t kStride = 4 * kLanes;
  Vec sums[4] = {splat(0), splat(0), splat(0), splat(0)};
  std::int64_t i = 0;
  for (; i + kStride <= length; i += kStride) {
    read_ahead(element_address(format, data, i), kStride * (format == Element::fp32 ? 4 : 2));
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const Vec value = load_element<format>(data, i + k * kLanes);
      sums[k] = _mm256_fmadd_ps(value, value, sums[k]);
    }
  }
  float lanes[kLanes];
  store(lanes, (sums[0] + sums[1]) + (sums[2] + sums[3]));
  float sum = 0;
  for (float lane : lanes) sum += lane;
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

}  // namespace halftone::kernels::avx2

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
#endif
