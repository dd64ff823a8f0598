#include "halftone/models/masking.h"

#include <ATen/ops/zeros.h>

#include <limits>

namespace halftone::models {

at::Tensor attention_bias(const at::Tensor& mask, at::ScalarType format) {
  const auto minus_infinity = -std::numeric_limits<double>::infinity();
  return at::zeros(mask.sizes(), mask.options().dtype(format))
      .masked_fill_(mask.logical_not(), minus_infinity)
      .unsqueeze(1)
      .unsqueeze(2);
}

}  // namespace halftone::models
