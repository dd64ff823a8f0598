#include "halftone/base/target.h"
#include "halftone/kernels/bernoulli/range.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx512 {
namespace {

#include "halftone/kernels/vector/vec_avx512.inl.h"

#include "halftone/kernels/vector/draws_avx512.inl.h"

HALFTONE_RUNG_ENTRY void bernoulli_range(const BernoulliArgs& given, std::int64_t begin,
                                         std::int64_t end) {
  const BernoulliArgs args = given;
  const __m512i zeros = _mm512_set1_epi32(static_cast<int>(args.zeros));
  const auto one = static_cast<short>(bernoulli_one(args.format));
  std::int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    const __m512i random = draws(args.key, static_cast<std::uint32_t>(i));
    const __mmask16 ones = _mm512_cmpge_epu32_mask(random, zeros);
    store_bits(args.output + i, _mm256_maskz_set1_epi16(ones, one));
  }
  bernoulli_scalar(args, i, end);
}

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY

}  // namespace

void bernoulli(const BernoulliArgs& args) { bernoulli_ranges(args, bernoulli_range); }

}  // namespace halftone::kernels::avx512
#endif
