// Eight 32-bit words in a register: names and contract of bits_avx512.inl.h, behind
// vec_avx2.inl.h.

using Bits = __m256i;

HALFTONE_RUNG Bits splat_bits(std::uint32_t value) {
  return _mm256_set1_epi32(static_cast<int>(value));
}
HALFTONE_RUNG Bits bits_of(Vec value) { return _mm256_castps_si256(value); }
HALFTONE_RUNG Vec vec_of(Bits value) { return _mm256_castsi256_ps(value); }

HALFTONE_RUNG Bits bit_and(Bits a, Bits b) { return _mm256_and_si256(a, b); }
HALFTONE_RUNG Bits bit_xor(Bits a, Bits b) { return _mm256_xor_si256(a, b); }
HALFTONE_RUNG Bits plus(Bits a, Bits b) { return _mm256_add_epi32(a, b); }
HALFTONE_RUNG Bits minus(Bits a, Bits b) { return _mm256_sub_epi32(a, b); }
HALFTONE_RUNG Bits larger_signed(Bits a, Bits b) { return _mm256_max_epi32(a, b); }

HALFTONE_RUNG Bits shift_right(Bits value, int count) {
  return _mm256_srl_epi32(value, _mm_cvtsi32_si128(count));
}
HALFTONE_RUNG Bits spread_sign(Bits value) { return _mm256_srai_epi32(value, 31); }

HALFTONE_RUNG Bits truncated_int(Vec value) { return _mm256_cvttps_epi32(value); }
HALFTONE_RUNG Vec from_int(Bits value) { return _mm256_cvtepi32_ps(value); }

HALFTONE_RUNG Bits bits_where_le(Vec a, Vec b, Bits yes, Bits no) {
  const Bits mask = _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_LE_OQ));
  return _mm256_blendv_epi8(no, yes, mask);
}

HALFTONE_RUNG Bits largest_signed(Bits value) {
  value = _mm256_max_epi32(value, _mm256_permute2x128_si256(value, value, 1));
  value = _mm256_max_epi32(value, _mm256_shuffle_epi32(value, 0x4e));
  return _mm256_max_epi32(value, _mm256_shuffle_epi32(value, 0xb1));
}
HALFTONE_RUNG std::uint32_t first_lane(Bits value) {
  return static_cast<std::uint32_t>(_mm256_cvtsi256_si32(value));
}

// The packing saturates: what is above the byte goes first.
HALFTONE_RUNG void store_bytes(std::uint8_t* p, Bits value) {
  const __m128i words = lower_halves(_mm256_and_si256(value, _mm256_set1_epi32(0xff)));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
}
HALFTONE_RUNG void store_bytes_part(std::uint8_t* p, Bits value, std::int64_t count) {
  std::uint8_t lanes[kLanes];
  store_bytes(lanes, value);
  for (std::int64_t i = 0; i < count; ++i) p[i] = lanes[i];
}

// 2 kLanes bf16 as the even ones and the odd ones (bits_avx512.inl.h).
HALFTONE_RUNG void load_bf16_pairs(const std::uint16_t* p, Vec& even, Vec& odd) {
  const Bits pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  even = vec_of(_mm256_slli_epi32(pairs, 16));
  odd = vec_of(bit_and(pairs, splat_bits(0xffff0000u)));
}
HALFTONE_RUNG void store_bf16_pairs(std::uint16_t* p, Vec even, Vec odd) {
  const Bits low = _mm256_cvtepu16_epi32(narrow(HalfFormat::bf16, even));
  const Bits high = _mm256_cvtepu16_epi32(narrow(HalfFormat::bf16, odd));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm256_or_si256(low, _mm256_slli_epi32(high, 16)));
}
