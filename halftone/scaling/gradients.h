// The gradients of one optimizer: checked and unscaled in place, for optimizers that cannot do it.
#pragma once

#include <torch/optim/optimizer.h>

#include <cstdint>
#include <string>

#include "halftone/scaling/scaled_optimizer.h"

namespace halftone {

// Multiplies every gradient by `inverse_scale` in place and checks all of them: one
// _amp_foreach_non_finite_check_and_unscale_ per device and format, one synchronisation per device.
// The norm is that of the gradients as they are afterwards. Throws Error for a sparse gradient and,
// unless `allow_fp16`, for an fp16 one, before anything is written.
GradientCheck unscale_gradients(const torch::optim::Optimizer& optimizer, double inverse_scale,
                                bool allow_fp16);

// The name of the parameter at `index` over all groups in order, or "group G, parameter I".
std::string parameter_label(const torch::optim::Optimizer& optimizer, std::int64_t index);

// Throws Error that lists the parameters, none of which backward has reached. `caller`: "step()".
[[noreturn]] void throw_no_gradients(const torch::optim::Optimizer& optimizer,
                                     const std::string& caller);

}  // namespace halftone
