// Padding as attention takes it.
#pragma once

#include <ATen/core/Tensor.h>

namespace halftone::models {

// mask: (N,T) bool, true where there is a token -> (N,1,1,T), what is added to the scores: 0 or
// minus infinity, no number that a format may lack; a row of minus infinity alone gives zeros.
at::Tensor attention_bias(const at::Tensor& mask, at::ScalarType format);

}  // namespace halftone::models
