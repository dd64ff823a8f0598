#include <algorithm>
#include <array>
#include <utility>

#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/product/buffers.h"
#include "halftone/kernels/product/epilogue.h"
#include "halftone/kernels/product/plan.h"
#include "halftone/kernels/product/product.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx512 {
namespace {

// One attribute for the whole file, so that everything inlines; only pair units execute AVX512_BF16
// instructions.
#define HALFTONE_RUNG_ENTRY \
  __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
#define HALFTONE_RUNG __attribute__((always_inline)) inline HALFTONE_RUNG_ENTRY

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

// What both units of this rung share. 14 x 32 sums are 28 of the 32 registers; two hold B, one A.
// 256 dwords of k: a panel of B is 32 KB, an L1.
template <HalfFormat format, int group>
struct UnitBase {
  using Vec = __m512i;
  static constexpr UnitShape kShape{14, 32, group, 256};
  static constexpr std::int64_t kLanes = 16;
  static constexpr std::int64_t kRowStride = kShape.chunk + 16;

  HALFTONE_RUNG static void store(std::uint32_t* p, Vec value) { _mm512_storeu_si512(p, value); }
  HALFTONE_RUNG static void transpose(Vec (&v)[16]) { transpose16(v); }

  HALFTONE_RUNG_ENTRY static void write_row(const ProductArgs& args, std::int64_t i, std::int64_t j,
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
};

template <HalfFormat format>
struct Fp32Unit : UnitBase<format, 1> {
  using Base = UnitBase<format, 1>;

  HALFTONE_RUNG static __m512i along(const std::uint16_t* p, std::int64_t count) {
    return _mm512_castps_si512(widen16<format>(_mm256_maskz_loadu_epi16(first16(count), p)));
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

struct PairUnit : UnitBase<HalfFormat::bf16, 2> {
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
  HALFTONE_RUNG static __m512 step(__m512 sum, __m512i a, __m512i b) {
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
  }
  HALFTONE_RUNG static void multiply(std::int64_t rows, const std::uint32_t* a,
                                     const std::uint32_t* b, std::int64_t groups, float* sums,
                                     std::int64_t stride, bool add);
};

template <class Unit, int rows>
HALFTONE_RUNG_ENTRY void tile(const std::uint32_t* a, const std::uint32_t* b, std::int64_t groups,
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

#include "halftone/kernels/product/engine.inl.h"

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY

}  // namespace

void product(const ProductArgs& args) {
  if (args.format == HalfFormat::fp16) return run_product<Fp32Unit<HalfFormat::fp16>>(args);
  run_product<Fp32Unit<HalfFormat::bf16>>(args);
}

const char* pair_product_refuses(const ProductArgs& args) {
  if (args.format != HalfFormat::bf16) return "VDPBF16PS takes bf16 only";
  return cpu_features().avx512_bf16 ? nullptr : "the CPU has no AVX512_BF16";
}

void pair_product(const ProductArgs& args) { run_product<PairUnit>(args); }

}  // namespace halftone::kernels::avx512
#endif
