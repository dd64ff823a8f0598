// The unit of rung avx2: fp32 FMA on converted halves. Included behind vector/vec_avx2.inl.h and
// write_row.inl.h.

// 6 x 16 sums are 12 of the 16 registers; two hold B, one A. 256 of k: a panel of B is 16 KB, half
// an L1.
template <HalfFormat format>
struct Fp32Unit {
  using Vec = __m256i;
  using Element = std::uint32_t;
  static constexpr UnitShape kShape{6, 16, 1, 256};
  static constexpr std::int64_t kLanes = 8;
  static constexpr std::int64_t kRowStride = kShape.chunk + 16;
  static constexpr std::int64_t kPanel = kShape.chunk * kShape.columns;
  static constexpr std::int64_t kMultiple = 1;

  static void begin() {}
  static void end() {}

  HALFTONE_RUNG static Vec along(const std::uint16_t* p, std::int64_t count) {
    return _mm256_castps_si256(count == kLanes ? load_half(format, p)
                                               : load_half_part(format, p, count));
  }
  HALFTONE_RUNG static Vec across(const std::uint16_t* p, const std::uint16_t*,
                                  std::int64_t count) {
    return p ? along(p, count) : _mm256_setzero_si256();
  }
  HALFTONE_RUNG static void store_a(std::uint32_t* p, Vec value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), value);
  }
  HALFTONE_RUNG static void store_b(std::uint32_t* p, Vec value) { store_a(p, value); }
  HALFTONE_RUNG static void transpose(Vec (&v)[8]);
  HALFTONE_RUNG static void multiply(std::int64_t rows, const std::uint32_t* a,
                                     const std::uint32_t* b, std::int64_t groups, float* sums,
                                     std::int64_t stride, bool add);

  static void write_row(const ProductArgs& args, std::int64_t i, std::int64_t j, std::int64_t count,
                        const float* sums) {
    write_halves<format>(args, i, j, count, sums);
  }
};

template <HalfFormat format>
HALFTONE_RUNG void Fp32Unit<format>::transpose(Vec (&v)[8]) {
  Vec t[8];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
  }
  Vec u[8];
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    u[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    u[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm256_permute2x128_si256(u[i], u[4 + i], 0x20);
    v[4 + i] = _mm256_permute2x128_si256(u[i], u[4 + i], 0x31);
  }
}

template <int rows>
HALFTONE_RUNG_ENTRY void tile(const std::uint32_t* a, const std::uint32_t* b, std::int64_t groups,
                              float* sums, std::int64_t stride, bool add) {
  constexpr std::int64_t kRowStride = Fp32Unit<HalfFormat::fp16>::kRowStride;
  const auto* values = reinterpret_cast<const float*>(a);
  const auto* columns = reinterpret_cast<const float*>(b);
  __m256 c[rows][2];
#pragma GCC unroll 6
  for (int i = 0; i < rows; ++i) c[i][0] = c[i][1] = _mm256_setzero_ps();
  for (std::int64_t g = 0; g < groups; ++g, columns += 16, ++values) {
    const __m256 b0 = _mm256_load_ps(columns), b1 = _mm256_load_ps(columns + 8);
#pragma GCC unroll 6
    for (int i = 0; i < rows; ++i) {
      const __m256 each = _mm256_broadcast_ss(values + i * kRowStride);
      c[i][0] = _mm256_fmadd_ps(each, b0, c[i][0]);
      c[i][1] = _mm256_fmadd_ps(each, b1, c[i][1]);
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < rows; ++i) {
    float* to = sums + i * stride;
    if (add) {
      c[i][0] = _mm256_add_ps(c[i][0], _mm256_loadu_ps(to));
      c[i][1] = _mm256_add_ps(c[i][1], _mm256_loadu_ps(to + 8));
    }
    _mm256_storeu_ps(to, c[i][0]);
    _mm256_storeu_ps(to + 8, c[i][1]);
  }
}

using TileFn = void (*)(const std::uint32_t*, const std::uint32_t*, std::int64_t, float*,
                        std::int64_t, bool);
constexpr TileFn kTiles[6] = {tile<1>, tile<2>, tile<3>, tile<4>, tile<5>, tile<6>};

template <HalfFormat format>
void Fp32Unit<format>::multiply(std::int64_t rows, const std::uint32_t* a, const std::uint32_t* b,
                                std::int64_t groups, float* sums, std::int64_t stride, bool add) {
  kTiles[rows - 1](a, b, groups, sums, stride, add);
}
