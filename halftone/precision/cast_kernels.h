// Halftone's wrappers at LibTorch's autocast keys.
#pragma once

#include "halftone/precision/cast_plan.h"

namespace halftone {

// Puts in a wrapper for every row of the cast table that is cast always and every row that `plan`
// reaches, where there is none yet. A wrapper acts inside a region alone (autocast_region.h);
// otherwise it calls the kernel that it replaced. Thread-safe; a no-op but for the first calls.
void install_cast_kernels(const CastPlan& plan);

}  // namespace halftone
