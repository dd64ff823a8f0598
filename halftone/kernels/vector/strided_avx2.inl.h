// Every second element: behind vec_avx2.inl.h. load_half_even reads p[0], p[2], ... of 2 kLanes
// halves, load_even the same of floats; store_half_pairs writes even[0], odd[0], even[1], ...

HALFTONE_RUNG Vec load_half_even(HalfFormat format, const std::uint16_t* p) {
  const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  if (format == HalfFormat::bf16) return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
  return widen(format, lower_halves(_mm256_and_si256(pairs, _mm256_set1_epi32(0xffff))));
}

HALFTONE_RUNG Vec load_even(const float* p) {
  const __m256 mixed = _mm256_shuffle_ps(load(p), load(p + kLanes), 0x88);
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(mixed), 0xd8));
}

HALFTONE_RUNG void store_half_pairs(HalfFormat format, std::uint16_t* p, Vec even, Vec odd) {
  const __m256i low = _mm256_cvtepu16_epi32(narrow(format, even));
  const __m256i high = _mm256_cvtepu16_epi32(narrow(format, odd));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm256_or_si256(low, _mm256_slli_epi32(high, 16)));
}
