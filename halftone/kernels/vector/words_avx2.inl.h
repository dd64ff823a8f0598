// 16 signed 16-bit words in a register: names and contract of words_avx512.inl.h, behind
// vec_avx2.inl.h.

using Words = __m256i;
constexpr std::int64_t kWords = 16;

HALFTONE_RUNG Words splat_words(std::int16_t value) { return _mm256_set1_epi16(value); }
HALFTONE_RUNG Words load_words(const std::uint16_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
HALFTONE_RUNG void store_words(std::uint16_t* p, Words value) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), value);
}

HALFTONE_RUNG Words words_where_gt(Words a, Words b, Words yes) {
  return _mm256_and_si256(_mm256_cmpgt_epi16(a, b), yes);
}
HALFTONE_RUNG Words words_where_any(Words a, Words yes) {
  return _mm256_andnot_si256(_mm256_cmpeq_epi16(a, _mm256_setzero_si256()), yes);
}
