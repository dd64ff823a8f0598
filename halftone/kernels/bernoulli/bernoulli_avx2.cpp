#include "halftone/base/target.h"
#include "halftone/kernels/bernoulli/range.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx2 {
namespace {

#include "halftone/kernels/vector/vec_avx2.inl.h"

#include "halftone/kernels/vector/draws_avx2.inl.h"

HALFTONE_RUNG_ENTRY void bernoulli_range(const BernoulliArgs& given, std::int64_t begin,
                                         std::int64_t end) {
  const BernoulliArgs args = given;
  const __m256i zeros = _mm256_set1_epi32(static_cast<int>(args.zeros));
  const __m256i one = _mm256_set1_epi32(bernoulli_one(args.format));
  std::int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    const __m256i random = draws(args.key, static_cast<std::uint32_t>(i));
    // No unsigned comparison: the larger of both is the draw.
    const __m256i ones = _mm256_cmpeq_epi32(_mm256_max_epu32(random, zeros), random);
    store_bits(args.output + i, lower_halves(_mm256_and_si256(ones, one)));
  }
  bernoulli_scalar(args, i, end);
}

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY

}  // namespace

void bernoulli(const BernoulliArgs& args) { bernoulli_ranges(args, bernoulli_range); }

}  // namespace halftone::kernels::avx2
#endif
