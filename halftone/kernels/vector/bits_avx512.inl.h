// Sixteen 32-bit words in a register, and what turns floats into them and back: behind
// vec_avx512.inl.h. bits_avx2.inl.h and bits_ref.inl.h have the same names.

using Bits = __m512i;

HALFTONE_RUNG Bits splat_bits(std::uint32_t value) {
  return _mm512_set1_epi32(static_cast<int>(value));
}
HALFTONE_RUNG Bits bits_of(Vec value) { return _mm512_castps_si512(value); }
HALFTONE_RUNG Vec vec_of(Bits value) { return _mm512_castsi512_ps(value); }

HALFTONE_RUNG Bits bit_and(Bits a, Bits b) { return _mm512_and_si512(a, b); }
HALFTONE_RUNG Bits bit_xor(Bits a, Bits b) { return _mm512_xor_si512(a, b); }
HALFTONE_RUNG Bits plus(Bits a, Bits b) { return _mm512_add_epi32(a, b); }
HALFTONE_RUNG Bits minus(Bits a, Bits b) { return _mm512_sub_epi32(a, b); }
HALFTONE_RUNG Bits larger_signed(Bits a, Bits b) { return _mm512_max_epi32(a, b); }

// The same count for all, 0 <= count < 32; spread_sign: all bits as the highest.
HALFTONE_RUNG Bits shift_right(Bits value, int count) {
  return _mm512_srl_epi32(value, _mm_cvtsi32_si128(count));
}
HALFTONE_RUNG Bits spread_sign(Bits value) { return _mm512_srai_epi32(value, 31); }

// Floats below 2^31 to whole numbers, towards zero, and back.
HALFTONE_RUNG Bits truncated_int(Vec value) { return _mm512_cvttps_epi32(value); }
HALFTONE_RUNG Vec from_int(Bits value) { return _mm512_cvtepi32_ps(value); }

// Lane by lane: a <= b ? yes : no, so that NaN gives no.
HALFTONE_RUNG Bits bits_where_le(Vec a, Vec b, Bits yes, Bits no) {
  return _mm512_mask_mov_epi32(no, _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ), yes);
}

// The largest of all lanes, in each.
HALFTONE_RUNG Bits largest_signed(Bits value) {
  value = _mm512_max_epi32(value, _mm512_shuffle_i64x2(value, value, 0x4e));
  value = _mm512_max_epi32(value, _mm512_shuffle_i64x2(value, value, 0xb1));
  value = _mm512_max_epi32(value, _mm512_shuffle_epi32(value, _MM_PERM_BADC));
  return _mm512_max_epi32(value, _mm512_shuffle_epi32(value, _MM_PERM_CDAB));
}
HALFTONE_RUNG std::uint32_t first_lane(Bits value) {
  return static_cast<std::uint32_t>(_mm_cvtsi128_si32(_mm512_castsi512_si128(value)));
}

// The lowest byte of each word.
HALFTONE_RUNG void store_bytes(std::uint8_t* p, Bits value) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(value));
}
HALFTONE_RUNG void store_bytes_part(std::uint8_t* p, Bits value, std::int64_t count) {
  _mm_mask_storeu_epi8(p, first_lanes(count), _mm512_cvtepi32_epi8(value));
}
