// Gradient clipping on its own, for gradients that are not scaled. The optimizers' options
// clip_norm and clip_value do the same within their passes.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "halftone/base/export.h"

namespace halftone::optim {

// Scales the gradients of `parameters` in place so that their global L2 norm is at most max_norm
// (Pascanu et al. 2013, algorithm 1; the factor is max_norm / (norm + 1e-6), as PyTorch's). Returns
// the norm before. Throws UsageError for a max_norm that is not positive; where the norm is not
// finite it throws Error if error_if_nonfinite, else leaves the gradients alone.
HALFTONE_API double clip_grad_norm(const std::vector<at::Tensor>& parameters, double max_norm,
                                   bool error_if_nonfinite = false);

// Clamps each element of the gradients in place to [-clip_value, clip_value]. Throws UsageError for
// a clip_value that is not positive.
HALFTONE_API void clip_grad_value(const std::vector<at::Tensor>& parameters, double clip_value);

// The factor that brings `norm` down to `max_norm`, at most 1.
HALFTONE_API double clip_factor(double norm, double max_norm);

}  // namespace halftone::optim
