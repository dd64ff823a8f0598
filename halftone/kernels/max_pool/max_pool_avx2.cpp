#include <cstring>

#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/max_pool/max_pool.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx2 {
namespace {

#include "halftone/kernels/vector/vec_avx2.inl.h"

#include "halftone/kernels/vector/strided_avx2.inl.h"

using Index = __m256i;

HALFTONE_RUNG Index index_splat(std::int64_t value) {
  return _mm256_set1_epi32(static_cast<int>(value));
}
HALFTONE_RUNG Index index_add(Index a, Index b) { return _mm256_add_epi32(a, b); }
HALFTONE_RUNG Index index_ramp(std::int64_t step) {
  const __m256i lanes = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
  return _mm256_mullo_epi32(lanes, index_splat(step));
}

HALFTONE_RUNG __m256i load_words(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
HALFTONE_RUNG void store_words(void* p, __m256i value) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), value);
}
HALFTONE_RUNG Index load_index(const std::int32_t* p) { return load_words(p); }
HALFTONE_RUNG void store_index(std::int32_t* p, Index value) { store_words(p, value); }

// The lower halves of eight 64-bit words.
HALFTONE_RUNG __m256i lower_words(__m256i low, __m256i high) {
  const __m256 mixed = _mm256_shuffle_ps(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high), 0x88);
  return _mm256_permute4x64_epi64(_mm256_castps_si256(mixed), 0xd8);
}
HALFTONE_RUNG void widen_indices(std::int64_t* p, Index value) {
  store_words(p, _mm256_cvtepi32_epi64(_mm256_castsi256_si128(value)));
  store_words(p + 4, _mm256_cvtepi32_epi64(_mm256_extracti128_si256(value, 1)));
}
HALFTONE_RUNG void widen_indices_part(std::int64_t* p, Index value, std::int64_t count) {
  std::int64_t part[kLanes];
  widen_indices(part, value);
  std::memcpy(p, part, static_cast<std::size_t>(count) * sizeof *p);
}

HALFTONE_RUNG void keep_larger(Vec& best, Index& at, Vec value, Index place) {
  const __m256 taken = _mm256_or_ps(_mm256_cmp_ps(value, best, _CMP_GT_OQ),
                                    _mm256_cmp_ps(value, value, _CMP_UNORD_Q));
  best = _mm256_blendv_ps(best, value, taken);
  at = _mm256_blendv_epi8(at, place, _mm256_castps_si256(taken));
}

// Indices fit into 31 bits. A lane that is not taken keeps its sum's bits: adding 0 would turn -0
// into 0.
HALFTONE_RUNG Vec add_where_index(Vec sum, const std::int64_t* at, std::int64_t place, Vec value) {
  const __m256i taken =
      _mm256_cmpeq_epi32(lower_words(load_words(at), load_words(at + 4)), index_splat(place));
  return _mm256_blendv_ps(sum, _mm256_add_ps(sum, value), _mm256_castsi256_ps(taken));
}
HALFTONE_RUNG Vec add_where_index_part(Vec sum, const std::int64_t* at, std::int64_t place,
                                       Vec value, std::int64_t count) {
  std::int64_t part[kLanes];
  for (std::int64_t i = 0; i < kLanes; ++i) part[i] = i < count ? at[i] : -1;
  return add_where_index(sum, part, place, value);
}

#include "halftone/kernels/max_pool/max_pool.inl.h"

}  // namespace

void max_pool(const MaxPoolArgs& args) {
  args.shape.format == HalfFormat::fp16 ? max_pool_rows<HalfFormat::fp16>(args)
                                        : max_pool_rows<HalfFormat::bf16>(args);
}

void max_pool_backward(const MaxPoolBackwardArgs& args) {
  args.shape.format == HalfFormat::fp16 ? spread_rows<HalfFormat::fp16>(args)
                                        : spread_rows<HalfFormat::bf16>(args);
}

}  // namespace halftone::kernels::avx2
#endif
