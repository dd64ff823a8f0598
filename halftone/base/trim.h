// Memory that Halftone holds for later, given back on request.
#pragma once

#include "halftone/base/export.h"

namespace halftone {

// Gives back to the system what the library keeps for speed alone: cached tensor memory and
// kernels' workspaces. Everything works on; the next step is slower. Thread-safe.
HALFTONE_API void trim();

// Has trim() call `release` from now on. Thread-safe; once per function.
HALFTONE_API void on_trim(void (*release)());

}  // namespace halftone
