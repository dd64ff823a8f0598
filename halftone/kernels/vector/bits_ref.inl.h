// One 32-bit word under the names of bits_avx512.inl.h, for reference rungs: behind
// vec_ref.inl.h and <bit>.

using Bits = std::uint32_t;

HALFTONE_RUNG Bits splat_bits(std::uint32_t value) { return value; }
HALFTONE_RUNG Bits bits_of(Vec value) { return std::bit_cast<Bits>(value); }
HALFTONE_RUNG Vec vec_of(Bits value) { return std::bit_cast<Vec>(value); }

HALFTONE_RUNG Bits bit_and(Bits a, Bits b) { return a & b; }
HALFTONE_RUNG Bits bit_xor(Bits a, Bits b) { return a ^ b; }
HALFTONE_RUNG Bits plus(Bits a, Bits b) { return a + b; }
HALFTONE_RUNG Bits minus(Bits a, Bits b) { return a - b; }
HALFTONE_RUNG Bits larger_signed(Bits a, Bits b) {
  return static_cast<std::int32_t>(a) > static_cast<std::int32_t>(b) ? a : b;
}

HALFTONE_RUNG Bits shift_right(Bits value, int count) { return value >> count; }
HALFTONE_RUNG Bits spread_sign(Bits value) { return value >> 31 ? ~Bits{0} : 0; }

HALFTONE_RUNG Bits truncated_int(Vec value) {
  return static_cast<Bits>(static_cast<std::int32_t>(value));
}
HALFTONE_RUNG Vec from_int(Bits value) {
  return static_cast<Vec>(static_cast<std::int32_t>(value));
}

HALFTONE_RUNG Bits bits_where_le(Vec a, Vec b, Bits yes, Bits no) { return a <= b ? yes : no; }

HALFTONE_RUNG Bits largest_signed(Bits value) { return value; }
HALFTONE_RUNG std::uint32_t first_lane(Bits value) { return value; }

HALFTONE_RUNG void store_bytes(std::uint8_t* p, Bits value) {
  *p = static_cast<std::uint8_t>(value);
}
HALFTONE_RUNG void store_bytes_part(std::uint8_t* p, Bits value, std::int64_t count) {
  if (count) store_bytes(p, value);
}

// 2 kLanes bf16 as the even one and the odd one (bits_avx512.inl.h).
HALFTONE_RUNG void load_bf16_pairs(const std::uint16_t* p, Vec& even, Vec& odd) {
  even = load_half(HalfFormat::bf16, p);
  odd = load_half(HalfFormat::bf16, p + 1);
}
HALFTONE_RUNG void store_bf16_pairs(std::uint16_t* p, Vec even, Vec odd) {
  store_half(HalfFormat::bf16, p, even);
  store_half(HalfFormat::bf16, p + 1, odd);
}
