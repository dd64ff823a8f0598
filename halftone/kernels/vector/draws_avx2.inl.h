// draw() of optimizer/rounding.h for eight elements from `element` on: behind vec_avx2.inl.h.

HALFTONE_RUNG __m256i hash(__m256i x) {
  x = _mm256_xor_si256(x, _mm256_srli_epi32(x, 16));
  x = _mm256_mullo_epi32(x, _mm256_set1_epi32(0x7feb352d));
  x = _mm256_xor_si256(x, _mm256_srli_epi32(x, 15));
  x = _mm256_mullo_epi32(x, _mm256_set1_epi32(static_cast<int>(0x846ca68bu)));
  return _mm256_xor_si256(x, _mm256_srli_epi32(x, 16));
}

HALFTONE_RUNG __m256i draws(std::uint64_t key, std::uint32_t element) {
  const __m256i counter = _mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(element)),
                                           _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0));
  const __m256i once =
      hash(_mm256_xor_si256(counter, _mm256_set1_epi32(static_cast<int>(key & 0xffffffffu))));
  return hash(_mm256_xor_si256(once, _mm256_set1_epi32(static_cast<int>(key >> 32))));
}
