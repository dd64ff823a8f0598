// draw() of optimizer/rounding.h for sixteen elements from `element` on: behind vec_avx512.inl.h.

HALFTONE_RUNG __m512i hash(__m512i x) {
  x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
  x = _mm512_mullo_epi32(x, _mm512_set1_epi32(0x7feb352d));
  x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 15));
  x = _mm512_mullo_epi32(x, _mm512_set1_epi32(static_cast<int>(0x846ca68bu)));
  return _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
}

HALFTONE_RUNG __m512i draws(std::uint64_t key, std::uint32_t element) {
  const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i counter = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(element)), lanes);
  const __m512i once =
      hash(_mm512_xor_si512(counter, _mm512_set1_epi32(static_cast<int>(key & 0xffffffffu))));
  return hash(_mm512_xor_si512(once, _mm512_set1_epi32(static_cast<int>(key >> 32))));
}
