// Every second element: behind vec_avx512.inl.h. load_half_even reads p[0], p[2], ... of 2 kLanes
// halves, load_even the same of floats; store_half_pairs writes even[0], odd[0], even[1], ...

HALFTONE_RUNG Vec load_half_even(HalfFormat format, const std::uint16_t* p) {
  const __m512i pairs = _mm512_loadu_si512(p);
  if (format == HalfFormat::fp16) return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(pairs));
  return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
}

HALFTONE_RUNG Vec load_even(const float* p) {
  const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  return _mm512_permutex2var_ps(load(p), even, load(p + kLanes));
}

HALFTONE_RUNG void store_half_pairs(HalfFormat format, std::uint16_t* p, Vec even, Vec odd) {
  const __m512i low = _mm512_cvtepu16_epi32(narrow(format, even));
  const __m512i high = _mm512_cvtepu16_epi32(narrow(format, odd));
  _mm512_storeu_si512(p, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}
