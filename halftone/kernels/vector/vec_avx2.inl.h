// Eight fp32 in a register, for rung avx2: names and contract of vec_avx512.inl.h.

#define HALFTONE_RUNG __attribute__((always_inline)) inline HALFTONE_TARGET_AVX2
#define HALFTONE_RUNG_ENTRY HALFTONE_TARGET_AVX2

using Vec = __m256;
constexpr std::int64_t kLanes = 8;

HALFTONE_RUNG __m256i first_lanes(std::int64_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                            _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0));
}

HALFTONE_RUNG Vec splat(float value) { return _mm256_set1_ps(value); }
HALFTONE_RUNG Vec load(const float* p) { return _mm256_loadu_ps(p); }
HALFTONE_RUNG void store(float* p, Vec value) { _mm256_storeu_ps(p, value); }
HALFTONE_RUNG Vec load_part(const float* p, std::int64_t count) {
  return _mm256_maskload_ps(p, first_lanes(count));
}
HALFTONE_RUNG void store_part(float* p, Vec value, std::int64_t count) {
  _mm256_maskstore_ps(p, first_lanes(count), value);
}

HALFTONE_RUNG Vec fmadd(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
HALFTONE_RUNG Vec fnmadd(Vec a, Vec b, Vec c) { return _mm256_fnmadd_ps(a, b, c); }
HALFTONE_RUNG Vec square_root(Vec value) { return _mm256_sqrt_ps(value); }
HALFTONE_RUNG Vec smaller(Vec a, Vec b) { return _mm256_min_ps(a, b); }
HALFTONE_RUNG Vec larger(Vec a, Vec b) { return _mm256_max_ps(a, b); }
HALFTONE_RUNG Vec absolute(Vec value) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), value); }
HALFTONE_RUNG Vec copy_sign(Vec magnitude, Vec sign) {
  return _mm256_or_ps(absolute(magnitude), _mm256_and_ps(sign, _mm256_set1_ps(-0.0f)));
}
HALFTONE_RUNG Vec round_nearest(Vec value) {
  return _mm256_round_ps(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

HALFTONE_RUNG Vec power_of_two(__m256i exponent) {
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_add_epi32(exponent, _mm256_set1_epi32(127)), 23));
}

// In two steps, as 2^exponent itself may be out of range; the first is exact where value is near 1.
HALFTONE_RUNG Vec scale_by_power(Vec value, Vec exponent) {
  const __m256i whole = _mm256_cvtps_epi32(exponent);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  return value * power_of_two(half) * power_of_two(_mm256_sub_epi32(whole, half));
}

HALFTONE_RUNG Vec where_le(Vec a, Vec b, Vec yes, Vec no) {
  return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LE_OQ));
}

HALFTONE_RUNG float reduce_add(Vec value) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(value), _mm256_extractf128_ps(value, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
HALFTONE_RUNG float reduce_max(Vec value) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(value), _mm256_extractf128_ps(value, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

HALFTONE_RUNG Vec widen(HalfFormat format, __m128i bits) {
  if (format == HalfFormat::fp16) return _mm256_cvtph_ps(bits);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

// The lower halves of eight numbers below 2^16.
HALFTONE_RUNG __m128i lower_halves(__m256i values) {
  return _mm_packus_epi32(_mm256_castsi256_si128(values), _mm256_extracti128_si256(values, 1));
}

// The upper halves of bits + addend, 0x7fc0 where the value is NaN.
HALFTONE_RUNG __m128i upper_half(Vec value, __m256i addend) {
  const __m256i bits = _mm256_castps_si256(value);
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
  const __m256i sum = _mm256_srli_epi32(_mm256_add_epi32(bits, addend), 16);
  return lower_halves(_mm256_blendv_epi8(sum, _mm256_set1_epi32(0x7fc0), nan));
}

HALFTONE_RUNG __m128i narrow(HalfFormat format, Vec value) {
  if (format == HalfFormat::fp16) return _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT);
  const __m256i odd =
      _mm256_and_si256(_mm256_srli_epi32(_mm256_castps_si256(value), 16), _mm256_set1_epi32(1));
  return upper_half(value, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
}

HALFTONE_RUNG void store_bits(std::uint16_t* p, __m128i bits) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bits);
}

HALFTONE_RUNG Vec load_half(HalfFormat format, const std::uint16_t* p) {
  return widen(format, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
HALFTONE_RUNG void store_half(HalfFormat format, std::uint16_t* p, Vec value) {
  store_bits(p, narrow(format, value));
}
HALFTONE_RUNG Vec load_half_part(HalfFormat format, const std::uint16_t* p, std::int64_t count) {
  std::uint16_t lanes[kLanes] = {};
  for (std::int64_t i = 0; i < count; ++i) lanes[i] = p[i];
  return load_half(format, lanes);
}
HALFTONE_RUNG void store_half_part(HalfFormat format, std::uint16_t* p, Vec value,
                                   std::int64_t count) {
  std::uint16_t lanes[kLanes];
  store_half(format, lanes, value);
  for (std::int64_t i = 0; i < count; ++i) p[i] = lanes[i];
}
