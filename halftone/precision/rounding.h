// Conversion between formats with one rounding.
#pragma once

#include <ATen/core/Tensor.h>

#include "halftone/base/export.h"
#include "halftone/precision/format.h"

namespace halftone {

// The floating-point tensor in `format`, each value rounded once to the nearest, ties to even:
// LibTorch's own conversion of fp64 to a half format rounds to fp32 on the way. Shape and strides
// stay; the tensor itself where it has the format already. Not differentiable. Thread-safe.
HALFTONE_API at::Tensor rounded_to(const at::Tensor& tensor, Format format);

}  // namespace halftone
