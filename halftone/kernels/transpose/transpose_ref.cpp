#include "halftone/kernels/transpose/tiles.h"

namespace halftone::kernels::ref {

void transpose_halves(const TransposeArgs& args) {
  for_each_transpose_tile(args, [](const TransposeTile& tile) { transpose_rest(tile, 0, 0); });
}

}  // namespace halftone::kernels::ref
