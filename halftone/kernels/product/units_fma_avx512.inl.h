// The units of rung avx512: fp32 FMA on converted halves, and VDPBF16PS. Included behind
// units_avx512.inl.h; the file's last lines #undef HALFTONE_TARGET_PAIRS.

template <HalfFormat format>
struct Fp32Unit : UnitBase<format, 14, 1> {
  HALFTONE_RUNG static __m512i along(const std::uint16_t* p, std::int64_t count) {
    return _mm512_castps_si512(load_half_part(format, p, count));
  }
  HALFTONE_RUNG static __m512i across(const std::uint16_t* p, const std::uint16_t*,
                                      std::int64_t count) {
    return p ? along(p, count) : _mm512_setzero_si512();
  }
  HALFTONE_RUNG static __m512 step(__m512 sum, __m512i a, __m512i b) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
  }
  HALFTONE_RUNG static void multiply(std::int64_t rows, const std::uint32_t* a,
                                     const std::uint32_t* b, std::int64_t groups, float* sums,
                                     std::int64_t stride, bool add);
};

// Only functions that execute VDPBF16PS are compiled for it.
#define HALFTONE_TARGET_PAIRS \
  __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))

struct PairUnit : UnitBase<HalfFormat::bf16, 14, 2>, PairPacking {
  HALFTONE_TARGET_PAIRS __attribute__((always_inline)) static inline __m512 step(__m512 sum,
                                                                                 __m512i a,
                                                                                 __m512i b) {
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
  }
  HALFTONE_RUNG static void multiply(std::int64_t rows, const std::uint32_t* a,
                                     const std::uint32_t* b, std::int64_t groups, float* sums,
                                     std::int64_t stride, bool add);
};

// 14 x 32 sums are 28 of the 32 registers; two hold B, one A.
template <class Unit, int rows>
HALFTONE_TARGET_PAIRS void tile(const std::uint32_t* a, const std::uint32_t* b, std::int64_t groups,
                                float* sums, std::int64_t stride, bool add) {
  __m512 c[rows][2];
#pragma GCC unroll 14
  for (int i = 0; i < rows; ++i) c[i][0] = c[i][1] = _mm512_setzero_ps();
  for (std::int64_t g = 0; g < groups; ++g, b += 32, ++a) {
    const __m512i b0 = _mm512_load_si512(b), b1 = _mm512_load_si512(b + 16);
#pragma GCC unroll 14
    for (int i = 0; i < rows; ++i) {
      const __m512i each = _mm512_set1_epi32(static_cast<int>(a[i * Unit::kRowStride]));
      c[i][0] = Unit::step(c[i][0], each, b0);
      c[i][1] = Unit::step(c[i][1], each, b1);
    }
  }
#pragma GCC unroll 14
  for (int i = 0; i < rows; ++i) {
    float* to = sums + i * stride;
    if (add) {
      c[i][0] = _mm512_add_ps(c[i][0], _mm512_loadu_ps(to));
      c[i][1] = _mm512_add_ps(c[i][1], _mm512_loadu_ps(to + 16));
    }
    _mm512_storeu_ps(to, c[i][0]);
    _mm512_storeu_ps(to + 16, c[i][1]);
  }
}

using TileFn = void (*)(const std::uint32_t*, const std::uint32_t*, std::int64_t, float*,
                        std::int64_t, bool);

template <class Unit, int... rows>
constexpr std::array<TileFn, sizeof...(rows)> tiles(std::integer_sequence<int, rows...>) {
  return {tile<Unit, rows + 1>...};
}

// By the number of rows, less one.
template <class Unit>
constexpr auto kTiles = tiles<Unit>(std::make_integer_sequence<int, 14>());

template <HalfFormat format>
void Fp32Unit<format>::multiply(std::int64_t rows, const std::uint32_t* a, const std::uint32_t* b,
                                std::int64_t groups, float* sums, std::int64_t stride, bool add) {
  kTiles<Fp32Unit>[static_cast<std::size_t>(rows - 1)](a, b, groups, sums, stride, add);
}

void PairUnit::multiply(std::int64_t rows, const std::uint32_t* a, const std::uint32_t* b,
                        std::int64_t groups, float* sums, std::int64_t stride, bool add) {
  kTiles<PairUnit>[static_cast<std::size_t>(rows - 1)](a, b, groups, sums, stride, add);
}
