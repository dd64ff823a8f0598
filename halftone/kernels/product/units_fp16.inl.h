// The unit over AVX512_FP16 arithmetic, with the arithmetic as a parameter: the hardware's, or in
// tests an emulation. Included after units_avx512.inl.h.
//
// Arithmetic: block(a, b, groups, tile): tile[14][64] = the sums over `groups` of k in fp16, from a
// block of A (14 rows, kFp16RowStride apart) and a panel of B, every product and sum rounded once.

constexpr std::int64_t kFp16RowStride = 256 + 32;  // an odd number of cache lines
// fp16 sums of more products than this lose too much (relative RMS 1.2e-3 at 64, 1.8e-3 at 128).
constexpr std::int64_t kFp16Promotion = 64;

template <class Arithmetic>
struct Fp16Unit {
  using Vec = __m512i;
  using Element = std::uint16_t;
  // 14 x 64 sums in fp16 are 28 of the 32 registers; two hold B. 256 of k: a panel is 32 KB, an L1.
  static constexpr UnitShape kShape{14, 64, 1, 256};
  static constexpr std::int64_t kLanes = 32;
  static constexpr std::int64_t kRowStride = kFp16RowStride;
  static constexpr std::int64_t kPanel = kShape.chunk * kShape.columns;
  static constexpr std::int64_t kMultiple = 1;

  static void begin() {}
  static void end() {}
  HALFTONE_RUNG static void store_a(std::uint16_t* p, Vec v) { _mm512_storeu_si512(p, v); }
  HALFTONE_RUNG static void store_b(std::uint16_t* p, Vec v) { _mm512_storeu_si512(p, v); }
  HALFTONE_RUNG static Vec along(const std::uint16_t* p, std::int64_t count) {
    return PairPacking::along(p, count);
  }
  HALFTONE_RUNG static Vec across(const std::uint16_t* p, const std::uint16_t*,
                                  std::int64_t count) {
    return p ? PairPacking::along(p, count) : _mm512_setzero_si512();
  }

  // Two rows at a time become a row of dwords; those are transposed as dwords.
  HALFTONE_RUNG static void transpose(Vec (&v)[32]) {
    alignas(64) std::uint16_t index[2][32];
    for (std::uint16_t j = 0; j < 32; ++j) {
      index[0][j] = static_cast<std::uint16_t>(j / 2 + j % 2 * 32);
      index[1][j] = static_cast<std::uint16_t>(index[0][j] + 16);
    }
    const __m512i low = _mm512_load_si512(index[0]), high = _mm512_load_si512(index[1]);
    Vec first[16], second[16];
    for (int i = 0; i < 16; ++i) {
      first[i] = _mm512_permutex2var_epi16(v[2 * i], low, v[2 * i + 1]);
      second[i] = _mm512_permutex2var_epi16(v[2 * i], high, v[2 * i + 1]);
    }
    transpose16(first);
    transpose16(second);
    for (int i = 0; i < 16; ++i) v[i] = first[i], v[16 + i] = second[i];
  }

  HALFTONE_RUNG_ENTRY static void multiply(std::int64_t rows, const std::uint16_t* a,
                                           const std::uint16_t* b, std::int64_t groups, float* sums,
                                           std::int64_t stride, bool add) {
    alignas(64) std::uint16_t tile[14 * 64];
    for (std::int64_t k = 0; k < groups; k += kFp16Promotion, add = true) {
      Arithmetic::block(a + k, b + k * 64, std::min(kFp16Promotion, groups - k), tile);
      for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = 0; j < 64; j += 16) {
          float* to = sums + i * stride + j;
          __m512 value = load_half(HalfFormat::fp16, tile + i * 64 + j);
          if (add) value = _mm512_add_ps(value, _mm512_loadu_ps(to));
          _mm512_storeu_ps(to, value);
        }
      }
    }
  }

  static void write_row(const ProductArgs& args, std::int64_t i, std::int64_t j, std::int64_t count,
                        const float* sums) {
    write_halves<HalfFormat::fp16>(args, i, j, count, sums);
  }
};
