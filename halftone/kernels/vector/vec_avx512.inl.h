// Sixteen fp32 in a register: what kernels on rung avx512 are written with. A kernel's file
// includes this text inside its anonymous namespace, behind <immintrin.h>, base/half.h and
// base/target.h, and the text of vector/math.inl.h behind it where it needs exp. No guard: the text
// is compiled once per file. vec_avx2.inl.h and vec_ref.inl.h have the same names, so that a
// kernel's own text can be shared by all rungs; + - * / are the language's.
//   HALFTONE_RUNG        in front of every function that takes or returns a Vec
//   HALFTONE_RUNG_ENTRY  in front of what is called from outside: a function that is not inlined
// The file's last lines #undef both.
//
// Conversions to half round to nearest even and keep NaN quiet, as base/half.h does, bit by bit.
// *_part: the first `count` elements, 0 <= count <= kLanes; nothing beyond them is touched, and
// lanes beyond them are zero. Any alignment.

#define HALFTONE_RUNG __attribute__((always_inline)) inline HALFTONE_TARGET_AVX512
#define HALFTONE_RUNG_ENTRY HALFTONE_TARGET_AVX512

using Vec = __m512;
constexpr std::int64_t kLanes = 16;

HALFTONE_RUNG __mmask16 first_lanes(std::int64_t count) {
  return static_cast<__mmask16>((1u << static_cast<unsigned>(count)) - 1);
}

HALFTONE_RUNG Vec splat(float value) { return _mm512_set1_ps(value); }
HALFTONE_RUNG Vec load(const float* p) { return _mm512_loadu_ps(p); }
HALFTONE_RUNG void store(float* p, Vec value) { _mm512_storeu_ps(p, value); }
HALFTONE_RUNG Vec load_part(const float* p, std::int64_t count) {
  return _mm512_maskz_loadu_ps(first_lanes(count), p);
}
HALFTONE_RUNG void store_part(float* p, Vec value, std::int64_t count) {
  _mm512_mask_storeu_ps(p, first_lanes(count), value);
}

HALFTONE_RUNG Vec fmadd(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
HALFTONE_RUNG Vec fnmadd(Vec a, Vec b, Vec c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b
HALFTONE_RUNG Vec square_root(Vec value) { return _mm512_sqrt_ps(value); }

// Where one is NaN the second comes back, as where both are zero.
HALFTONE_RUNG Vec smaller(Vec a, Vec b) { return _mm512_min_ps(a, b); }
HALFTONE_RUNG Vec larger(Vec a, Vec b) { return _mm512_max_ps(a, b); }

HALFTONE_RUNG Vec absolute(Vec value) { return _mm512_abs_ps(value); }
HALFTONE_RUNG Vec copy_sign(Vec magnitude, Vec sign) {
  return _mm512_or_ps(_mm512_abs_ps(magnitude), _mm512_and_ps(sign, _mm512_set1_ps(-0.0f)));
}
HALFTONE_RUNG Vec round_nearest(Vec value) {
  return _mm512_roundscale_ps(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

// value * 2^exponent for whole numbers |exponent| <= 250, rounded once.
HALFTONE_RUNG Vec scale_by_power(Vec value, Vec exponent) {
  return _mm512_scalef_ps(value, exponent);
}

// Lane by lane: a <= b ? yes : no, so that NaN gives no.
HALFTONE_RUNG Vec where_le(Vec a, Vec b, Vec yes, Vec no) {
  return _mm512_mask_mov_ps(no, _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ), yes);
}

// In an order that only the number of lanes fixes.
HALFTONE_RUNG float reduce_add(Vec value) { return _mm512_reduce_add_ps(value); }
HALFTONE_RUNG float reduce_max(Vec value) { return _mm512_reduce_max_ps(value); }

HALFTONE_RUNG Vec widen(HalfFormat format, __m256i bits) {
  if (format == HalfFormat::fp16) return _mm512_cvtph_ps(bits);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

// The upper halves of bits + addend, 0x7fc0 where the value is NaN.
HALFTONE_RUNG __m256i upper_half(Vec value, __m512i addend) {
  const __m512i odd_words =
      _mm512_set_epi16(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1, 31, 29, 27, 25,
                       23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  const __m512i sum = _mm512_add_epi32(_mm512_castps_si512(value), addend);
  const __m256i words = _mm512_castsi512_si256(_mm512_permutexvar_epi16(odd_words, sum));
  const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
  return _mm256_mask_mov_epi16(words, nan, _mm256_set1_epi16(0x7fc0));
}

HALFTONE_RUNG __m256i narrow(HalfFormat format, Vec value) {
  if (format == HalfFormat::fp16) return _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT);
  const __mmask16 odd =
      _mm512_test_epi32_mask(_mm512_castps_si512(value), _mm512_set1_epi32(0x10000));
  return upper_half(
      value, _mm512_mask_mov_epi32(_mm512_set1_epi32(0x7fff), odd, _mm512_set1_epi32(0x8000)));
}

HALFTONE_RUNG void store_bits(std::uint16_t* p, __m256i bits) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), bits);
}

// A format known at compile time leaves no branch behind.
HALFTONE_RUNG Vec load_half(HalfFormat format, const std::uint16_t* p) {
  return widen(format, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
HALFTONE_RUNG void store_half(HalfFormat format, std::uint16_t* p, Vec value) {
  store_bits(p, narrow(format, value));
}
HALFTONE_RUNG Vec load_half_part(HalfFormat format, const std::uint16_t* p, std::int64_t count) {
  return widen(format, _mm256_maskz_loadu_epi16(first_lanes(count), p));
}
HALFTONE_RUNG void store_half_part(HalfFormat format, std::uint16_t* p, Vec value,
                                   std::int64_t count) {
  _mm256_mask_storeu_epi16(p, first_lanes(count), narrow(format, value));
}
