#include <cstring>

#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/max_pool/max_pool.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx512 {
namespace {

#include "halftone/kernels/vector/vec_avx512.inl.h"

#include "halftone/kernels/vector/strided_avx512.inl.h"

using Index = __m512i;

HALFTONE_RUNG Index index_splat(std::int64_t value) {
  return _mm512_set1_epi32(static_cast<int>(value));
}
HALFTONE_RUNG Index index_add(Index a, Index b) { return _mm512_add_epi32(a, b); }
HALFTONE_RUNG Index index_ramp(std::int64_t step) {
  const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  return _mm512_mullo_epi32(lanes, index_splat(step));
}
HALFTONE_RUNG Index load_index(const std::int32_t* p) { return _mm512_loadu_si512(p); }
HALFTONE_RUNG void store_index(std::int32_t* p, Index value) { _mm512_storeu_si512(p, value); }

HALFTONE_RUNG __m512i lower_eight(Index value) {
  return _mm512_cvtepi32_epi64(_mm512_castsi512_si256(value));
}
HALFTONE_RUNG __m512i upper_eight(Index value) {
  return _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(value, 1));
}
HALFTONE_RUNG void widen_indices(std::int64_t* p, Index value) {
  _mm512_storeu_si512(p, lower_eight(value));
  _mm512_storeu_si512(p + 8, upper_eight(value));
}
HALFTONE_RUNG void widen_indices_part(std::int64_t* p, Index value, std::int64_t count) {
  const __mmask16 lanes = first_lanes(count);
  _mm512_mask_storeu_epi64(p, static_cast<__mmask8>(lanes), lower_eight(value));
  _mm512_mask_storeu_epi64(p + 8, static_cast<__mmask8>(lanes >> 8), upper_eight(value));
}

HALFTONE_RUNG void keep_larger(Vec& best, Index& at, Vec value, Index place) {
  const __mmask16 taken =
      _mm512_cmp_ps_mask(value, best, _CMP_GT_OQ) | _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
  best = _mm512_mask_mov_ps(best, taken, value);
  at = _mm512_mask_mov_epi32(at, taken, place);
}

HALFTONE_RUNG Vec add_where_index(Vec sum, const std::int64_t* at, std::int64_t place, Vec value) {
  const __m512i wanted = _mm512_set1_epi64(place);
  const __mmask8 low = _mm512_cmpeq_epi64_mask(_mm512_loadu_si512(at), wanted);
  const __mmask8 high = _mm512_cmpeq_epi64_mask(_mm512_loadu_si512(at + 8), wanted);
  return _mm512_mask_add_ps(sum, _mm512_kunpackb(high, low), sum, value);
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

}  // namespace halftone::kernels::avx512
#endif
