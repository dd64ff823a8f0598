// What the rungs with 512-bit vectors share: packing, transposition, the way from sums to C.
// Included by their files inside an anonymous namespace; HALFTONE_RUNG and HALFTONE_RUNG_ENTRY are
// theirs.

template <HalfFormat format>
HALFTONE_RUNG __m512 widen16(__m256i bits) {
  if constexpr (format == HalfFormat::fp16) {
    return _mm512_cvtph_ps(bits);
  } else {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }
}

HALFTONE_RUNG __mmask16 first16(std::int64_t count) {
  return static_cast<__mmask16>(count >= 16 ? 0xffffu : (1u << static_cast<unsigned>(count)) - 1);
}

template <HalfFormat format>
HALFTONE_RUNG __m256i narrow16(__m512 value) {
  if constexpr (format == HalfFormat::fp16) {
    return _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT);
  } else {
    const __m512i bits = _mm512_castps_si512(value);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i sum = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(
        _mm512_mask_mov_epi32(_mm512_srli_epi32(sum, 16), nan, _mm512_set1_epi32(0x7fc0)));
  }
}

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

// A row of sums to C, as the arguments say.
template <HalfFormat format>
HALFTONE_RUNG_ENTRY void write_halves(const ProductArgs& args, std::int64_t i, std::int64_t j,
                                      std::int64_t count, const float* sums) {
  const std::int64_t at = c_offset(args, i) + j;
  const std::uint16_t* d = args.d ? args.d + i * args.d_stride + j : nullptr;
  const __m512 alpha = _mm512_set1_ps(args.alpha), beta = _mm512_set1_ps(args.beta);
  for (std::int64_t x = 0; x < count; x += 16) {
    const __mmask16 mask = first16(count - x);
    __m512 value = _mm512_mul_ps(alpha, _mm512_maskz_loadu_ps(mask, sums + x));
    if (d) {
      const __m512 more = widen16<format>(_mm256_maskz_loadu_epi16(mask, d + x));
      value = _mm512_add_ps(value, _mm512_mul_ps(beta, more));
    }
    if (args.activation == ProductEpilogue::relu) {
      value = _mm512_max_ps(_mm512_setzero_ps(), value);  // NaN stays: the second operand
    }
    if (args.c_fp32) {
      _mm512_mask_storeu_ps(static_cast<float*>(args.c) + at + x, mask, value);
    } else {
      _mm256_mask_storeu_epi16(static_cast<std::uint16_t*>(args.c) + at + x, mask,
                               narrow16<format>(value));
    }
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
    const __mmask16 mask = first16(count);
    const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p0));
    if (!p1) return low;
    const __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p1));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
  }
};
