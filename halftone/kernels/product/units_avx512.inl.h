// What the rungs with 512-bit vectors share: packing and transposition. Included by their files
// inside an anonymous namespace, behind vector/vec_avx512.inl.h and write_row.inl.h.

// A 16 x 16 transposition of dwords: pairs, quads, then 128-bit lanes.
HALFTONE_RUNG void transpose16(__m512i (&v)[16]) {
  __m512i t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    v[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    v[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    v[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    v[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(v[i], v[4 + i], 0x88);
    t[4 + i] = _mm512_shuffle_i32x4(v[i], v[4 + i], 0xdd);
    t[8 + i] = _mm512_shuffle_i32x4(v[8 + i], v[12 + i], 0x88);
    t[12 + i] = _mm512_shuffle_i32x4(v[8 + i], v[12 + i], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
    v[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd);
    v[4 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88);
    v[12 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xdd);
  }
}

// What the units of dwords share. 256 of them along k: a panel of B is 32 KB, an L1.
template <HalfFormat format, int rows, int group>
struct UnitBase {
  using Vec = __m512i;
  using Element = std::uint32_t;
  static constexpr UnitShape kShape{rows, 32, group, 256};
  static constexpr std::int64_t kLanes = 16;
  static constexpr std::int64_t kRowStride = kShape.chunk + 16;  // an odd number of cache lines
  static constexpr std::int64_t kPanel = kShape.chunk * kShape.columns;
  static constexpr std::int64_t kMultiple = 1;

  static void begin() {}
  static void end() {}
  HALFTONE_RUNG static void store_a(std::uint32_t* p, Vec v) { _mm512_storeu_si512(p, v); }
  HALFTONE_RUNG static void store_b(std::uint32_t* p, Vec v) { _mm512_storeu_si512(p, v); }
  HALFTONE_RUNG static void transpose(Vec (&v)[16]) { transpose16(v); }

  static void write_row(const ProductArgs& args, std::int64_t i, std::int64_t j, std::int64_t count,
                        const float* sums) {
    write_halves<format>(args, i, j, count, sums);
  }
};

// Two halves of k, or of two rows, as a dword.
struct PairPacking {
  HALFTONE_RUNG static __m512i along(const std::uint16_t* p, std::int64_t count) {
    const auto mask = static_cast<__mmask32>(
        count >= 32 ? 0xffffffffu : (1u << static_cast<unsigned>(count)) - 1);
    return _mm512_maskz_loadu_epi16(mask, p);
  }
  HALFTONE_RUNG static __m512i across(const std::uint16_t* p0, const std::uint16_t* p1,
                                      std::int64_t count) {
    if (!p0) return _mm512_setzero_si512();
    const __mmask16 mask = first_lanes(count);
    const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p0));
    if (!p1) return low;
    const __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p1));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
  }
};
