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

// 2 kLanes bf16 as the even ones and the odd ones, which lie in the lower and the upper half of a
// word and need no shuffle. Stored as narrow() rounds, of values whose NaNs are quiet: those that
// arithmetic makes.
HALFTONE_RUNG void load_bf16_pairs(const std::uint16_t* p, Vec& even, Vec& odd) {
  const Bits pairs = _mm512_loadu_si512(p);
  even = vec_of(_mm512_slli_epi32(pairs, 16));
  odd = vec_of(bit_and(pairs, splat_bits(0xffff0000u)));
}
HALFTONE_RUNG void store_bf16_pairs(std::uint16_t* p, Vec even, Vec odd) {
  constexpr int kChoose = 0xca;  // by bits: first ? second : third
  const Bits upper_half = splat_bits(0xffff0000u), low = bits_of(even), high = bits_of(odd);
  const Bits kept =
      _mm512_ternarylogic_epi32(upper_half, high, _mm512_srli_epi32(low, 16), kChoose);
  const Bits dropped =
      _mm512_ternarylogic_epi32(upper_half, _mm512_slli_epi32(high, 16), low, kChoose);
  // Up where more than half is dropped, or half of an odd number.
  const Bits odd_number = bit_and(kept, _mm512_set1_epi16(1));
  const Bits half = _mm512_sub_epi16(_mm512_set1_epi16(INT16_MIN), odd_number);
  const Bits rounded = _mm512_mask_sub_epi16(kept, _mm512_cmpgt_epu16_mask(dropped, half), kept,
                                             _mm512_set1_epi16(-1));
  const __mmask32 nan =
      _mm512_cmpgt_epi16_mask(bit_and(kept, _mm512_set1_epi16(0x7fff)), _mm512_set1_epi16(0x7f80));
  _mm512_storeu_si512(p, _mm512_mask_mov_epi16(rounded, nan, _mm512_set1_epi16(0x7fc0)));
}
