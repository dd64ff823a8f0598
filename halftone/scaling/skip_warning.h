// What a person reads when no step is applied for long.
#pragma once

#include <cstdint>
#include <string>

#include "halftone/scaling/loss_scale.h"

namespace halftone {

// One line: how many skips in a row, the parameter, and the likely reason as the scale tells it.
// scale: after the last of them; scale_before: at the first of them.
std::string skip_warning(std::int64_t in_a_row, const std::string& first_non_finite,
                         const LossScale& scale, double scale_before);

}  // namespace halftone
