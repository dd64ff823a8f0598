// An activation and its slope at every half, computed once.
#pragma once

#include "halftone/kernels/activation/activation.h"

namespace halftone::kernels {

// 65536 results, by the bits of the input; for the life of the process. Thread-safe. The first call
// takes some milliseconds.
const std::uint16_t* activation_table(ActivationFunction activation, HalfFormat format);
const float* slope_table(ActivationFunction activation, HalfFormat format);

}  // namespace halftone::kernels
