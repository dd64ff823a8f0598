#include "halftone/base/target.h"
#include "halftone/kernels/transpose/tiles.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx2 {
namespace {

constexpr std::int64_t kSquare = 8;

// Eight rows of eight: three rounds of interleaving.
__attribute__((always_inline)) inline HALFTONE_TARGET_AVX2 void transpose_square(
    const std::uint16_t* from, std::int64_t from_pitch, std::uint16_t* to, std::int64_t to_pitch) {
  __m128i a[kSquare], b[kSquare];
  for (int i = 0; i < 8; ++i) {
    a[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * from_pitch));
  }
  for (int i = 0; i < 4; ++i) {
    b[2 * i] = _mm_unpacklo_epi16(a[i], a[i + 4]);
    b[2 * i + 1] = _mm_unpackhi_epi16(a[i], a[i + 4]);
  }
  for (int i = 0; i < 4; ++i) {
    a[2 * i] = _mm_unpacklo_epi16(b[i], b[i + 4]);
    a[2 * i + 1] = _mm_unpackhi_epi16(b[i], b[i + 4]);
  }
  for (int i = 0; i < 4; ++i) {
    b[2 * i] = _mm_unpacklo_epi16(a[i], a[i + 4]);
    b[2 * i + 1] = _mm_unpackhi_epi16(a[i], a[i + 4]);
  }
  for (int i = 0; i < 8; ++i) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i * to_pitch), b[i]);
  }
}

// Columns outside, so that a line of `to` is written whole.
HALFTONE_TARGET_AVX2 void transpose_tile(const TransposeTile& tile) {
  const std::int64_t rows = tile.rows / kSquare * kSquare;
  const std::int64_t columns = tile.columns / kSquare * kSquare;
  for (std::int64_t j = 0; j < columns; j += kSquare) {
    for (std::int64_t i = 0; i < rows; i += kSquare) {
      transpose_square(tile.from + i * tile.from_pitch + j, tile.from_pitch,
                       tile.to + j * tile.to_pitch + i, tile.to_pitch);
    }
  }
  if (columns < tile.columns) transpose_rest(tile, 0, columns);
  if (rows < tile.rows) {
    transpose_rest({tile.from, tile.to, tile.from_pitch, tile.to_pitch, tile.rows, columns}, rows,
                   0);
  }
}

}  // namespace

void transpose_halves(const TransposeArgs& args) { for_each_transpose_tile(args, transpose_tile); }

}  // namespace halftone::kernels::avx2
#endif
