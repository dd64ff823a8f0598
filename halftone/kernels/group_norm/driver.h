// Group normalisation by batch normalisation's passes.
#pragma once

#include "halftone/kernels/batch_norm/passes.h"
#include "halftone/kernels/group_norm/group_norm.h"

namespace halftone::kernels {

void group_norm_forward_by(const BatchNormPasses& passes, const GroupNormForwardArgs& args);
void group_norm_backward_by(const BatchNormPasses& passes, const GroupNormBackwardArgs& args);

}  // namespace halftone::kernels
