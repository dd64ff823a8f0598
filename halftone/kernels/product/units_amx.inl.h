// The units over AMX tiles, with the tile registers as a parameter: the hardware's, or in tests an
// emulation of them. Included after units_avx512.inl.h.
//
// Tiles: begin(), end(); load_a(tile 0|1, p, stride), load_b(tile 0|1, p, stride), load_sums(row
// 0|1, column 0|1, p, stride) and store_sums, zero_sums(row, column), all strides in bytes;
// multiply(row, column): sums(row, column) += A(row) * B(column), 16 x 32 times 32 x 16 halves.

// 32 x 32 sums are four tiles; two more hold A, two B (Intel, Optimization Reference Manual, 20.5).
template <class Tiles, HalfFormat format>
struct TileUnit : UnitBase<format, 32, 2>, PairPacking {
  using Base = UnitBase<format, 32, 2>;
  static constexpr std::int64_t kMultiple = 16;  // pairs in a tile's row
  static constexpr std::int64_t kStrideA = Base::kRowStride * 4, kStrideB = 32 * 4;

  static void begin() { Tiles::begin(); }
  static void end() { Tiles::end(); }

  // The four sums of a block, loaded where there is something to add to.
  HALFTONE_RUNG static void start(bool two_rows, float* sums, std::int64_t stride, bool add) {
    for (int row = 0; row < (two_rows ? 2 : 1); ++row) {
      for (int column = 0; column < 2; ++column) {
        if (add) {
          Tiles::load_sums(row, column, sums + row * 16 * stride + column * 16, stride * 4);
        } else {
          Tiles::zero_sums(row, column);
        }
      }
    }
  }

  HALFTONE_RUNG static void finish(bool two_rows, float* sums, std::int64_t stride) {
    for (int row = 0; row < (two_rows ? 2 : 1); ++row) {
      for (int column = 0; column < 2; ++column) {
        Tiles::store_sums(row, column, sums + row * 16 * stride + column * 16, stride * 4);
      }
    }
  }

  // One product of the block; rows 16 and up only where there are any.
  HALFTONE_RUNG static void step(bool two_rows, const std::uint32_t* a, const std::uint32_t* b) {
    Tiles::load_a(0, a, kStrideA);
    Tiles::load_b(0, b, kStrideB);
    Tiles::load_b(1, b + 16, kStrideB);
    Tiles::multiply(0, 0);
    Tiles::multiply(0, 1);
    if (!two_rows) return;
    Tiles::load_a(1, a + 16 * Base::kRowStride, kStrideA);
    Tiles::multiply(1, 0);
    Tiles::multiply(1, 1);
  }

  HALFTONE_RUNG_ENTRY static void multiply(std::int64_t rows, const std::uint32_t* a,
                                           const std::uint32_t* b, std::int64_t groups, float* sums,
                                           std::int64_t stride, bool add) {
    const bool two_rows = rows > 16;
    start(two_rows, sums, stride, add);
    for (std::int64_t g = 0; g < groups; g += 16) step(two_rows, a + g, b + g * 32);
    finish(two_rows, sums, stride);
  }
};

// fp16 on bf16 tiles: x = high + low exactly, both bf16, and a * b = ah * bh + ah * bl + al * bh
// but for al * bl, below 2^-18 of it. The two halves of a row of A lie one behind the other, those
// of a panel of B too. Not for infinity and NaN: the caller compares `non_finite_seen` before and
// after and takes another rung.
template <class Tiles>
struct SplitTileUnit : TileUnit<Tiles, HalfFormat::fp16> {
  using Base = TileUnit<Tiles, HalfFormat::fp16>;
  static constexpr std::int64_t kPlaneA = Base::kShape.chunk;
  static constexpr std::int64_t kPlaneB = Base::kShape.chunk * Base::kShape.columns;
  static constexpr std::int64_t kRowStride = 2 * kPlaneA + 16;
  static constexpr std::int64_t kPanel = 2 * kPlaneB;
  static inline std::atomic<std::uint64_t> non_finite_seen{0};  // by any thread

  struct Halves {
    __m512i high, low;
  };

  // Of 16 fp16: the fp32 values rounded to bf16, and what they leave, which is exact in bf16.
  HALFTONE_RUNG static void split16(__m256i bits, __m256i& high, __m256i& low) {
    const __m512 value = _mm512_cvtph_ps(bits);
    const __m512i rounded = _mm512_add_epi32(_mm512_castps_si512(value), _mm512_set1_epi32(0x8000));
    const __m512i cut = _mm512_and_si512(rounded, _mm512_set1_epi32(static_cast<int>(0xffff0000u)));
    const __m512 rest = _mm512_sub_ps(value, _mm512_castsi512_ps(cut));
    high = _mm512_cvtepi32_epi16(_mm512_srli_epi32(cut, 16));
    low = _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_castps_si512(rest), 16));
  }

  HALFTONE_RUNG static Halves split(__m512i v) {
    const __m512i exponent = _mm512_set1_epi16(0x7c00);
    if (_mm512_cmpeq_epi16_mask(_mm512_and_si512(v, exponent), exponent)) {
      non_finite_seen.fetch_add(1, std::memory_order_relaxed);
    }
    __m256i high[2], low[2];
    split16(_mm512_castsi512_si256(v), high[0], low[0]);
    split16(_mm512_extracti64x4_epi64(v, 1), high[1], low[1]);
    return {_mm512_inserti64x4(_mm512_castsi256_si512(high[0]), high[1], 1),
            _mm512_inserti64x4(_mm512_castsi256_si512(low[0]), low[1], 1)};
  }

  HALFTONE_RUNG static void store_a(std::uint32_t* p, __m512i v) {
    const Halves halves = split(v);
    _mm512_storeu_si512(p, halves.high);
    _mm512_storeu_si512(p + kPlaneA, halves.low);
  }
  HALFTONE_RUNG static void store_b(std::uint32_t* p, __m512i v) {
    const Halves halves = split(v);
    _mm512_storeu_si512(p, halves.high);
    _mm512_storeu_si512(p + kPlaneB, halves.low);
  }

  HALFTONE_RUNG_ENTRY static void multiply(std::int64_t rows, const std::uint32_t* a,
                                           const std::uint32_t* b, std::int64_t groups, float* sums,
                                           std::int64_t stride, bool add) {
    constexpr std::int64_t kStrideA = kRowStride * 4;
    const bool two_rows = rows > 16;
    Base::start(two_rows, sums, stride, add);
    for (std::int64_t g = 0; g < groups; g += 16, a += 16, b += 16 * 32) {
      for (int row = 0; row < (two_rows ? 2 : 1); ++row) {
        const std::uint32_t* part = a + row * 16 * kRowStride;
        Tiles::load_a(0, part, kStrideA);
        Tiles::load_a(1, part + kPlaneA, kStrideA);
        for (int column = 0; column < 2; ++column) {
          Tiles::load_b(0, b + column * 16, Base::kStrideB);
          Tiles::load_b(1, b + column * 16 + kPlaneB, Base::kStrideB);
          Tiles::multiply_into(row, column, 0, 0);
          Tiles::multiply_into(row, column, 0, 1);
          Tiles::multiply_into(row, column, 1, 0);
        }
      }
    }
    Base::finish(two_rows, sums, stride);
  }
};
