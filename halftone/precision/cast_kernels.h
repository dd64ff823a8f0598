// Halftone's wrappers at LibTorch's autocast keys.
#pragma once

#include "halftone/precision/cast_plan.h"

namespace halftone {

// Puts in a wrapper for every row of the cast table that is cast always and every row that `plan`
// reaches, where there is none yet. A wrapper acts inside a region alone (autocast_region.h);
// otherwise (but for Cast::fp32_loss) it calls the kernel that it replaced. Thread-safe; a no-op
// but for the first calls.
void install_cast_kernels(const CastPlan& plan);

// Those of rows Cast::fp32_loss alone: they serve LibTorch's own autocast, too, while the kernels
// are enabled. Thread-safe.
void install_loss_kernels();

}  // namespace halftone
