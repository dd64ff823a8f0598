// 32 signed 16-bit words in a register, behind vec_avx512.inl.h; the other rungs have the same
// names.

using Words = __m512i;
constexpr std::int64_t kWords = 32;

HALFTONE_RUNG Words splat_words(std::int16_t value) { return _mm512_set1_epi16(value); }
HALFTONE_RUNG Words load_words(const std::uint16_t* p) { return _mm512_loadu_si512(p); }
HALFTONE_RUNG void store_words(std::uint16_t* p, Words value) { _mm512_storeu_si512(p, value); }

// Word by word: a > b ? yes : 0.
HALFTONE_RUNG Words words_where_gt(Words a, Words b, Words yes) {
  return _mm512_maskz_mov_epi16(_mm512_cmpgt_epi16_mask(a, b), yes);
}
// a != 0 ? yes : 0.
HALFTONE_RUNG Words words_where_any(Words a, Words yes) {
  return _mm512_maskz_mov_epi16(_mm512_test_epi16_mask(a, a), yes);
}
