// How layer normalisation is cut among threads, and how its columns' sums are added up.
#pragma once

#include "halftone/kernels/layer_norm/layer_norm.h"

namespace halftone::kernels {

// Rows [from, to) on the calling thread. partial: [2][length] of fp32, the columns' sums of dy and
// dy * xhat over these rows; null where not wanted.
struct LayerNormPasses {
  void (*forward)(const LayerNormForwardArgs& args, std::int64_t from, std::int64_t to);
  void (*backward)(const LayerNormBackwardArgs& args, std::int64_t from, std::int64_t to,
                   float* partial);
};

void layer_norm_forward_by(const LayerNormPasses& passes, const LayerNormForwardArgs& args);
void layer_norm_backward_by(const LayerNormPasses& passes, const LayerNormBackwardArgs& args);

}  // namespace halftone::kernels
