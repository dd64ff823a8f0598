// Matrices of 16-bit elements transposed: from planes to channels_last and back.
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/kernels/ladder.h"

namespace halftone::kernels {

// to[b][j][i] = from[b][i][j] for i < rows, j < columns; dense, any alignment, no overlap. Bits are
// moved, whatever they mean.
struct TransposeArgs {
  std::int64_t batch, rows, columns;
  const std::uint16_t* from;
  std::uint16_t* to;
};

HALFTONE_API void transpose_halves(const TransposeArgs& args);

HALFTONE_API const LadderBase& transpose_ladder();

namespace ref {
void transpose_halves(const TransposeArgs& args);
}  // namespace ref
namespace avx2 {
void transpose_halves(const TransposeArgs& args);
}  // namespace avx2

}  // namespace halftone::kernels
