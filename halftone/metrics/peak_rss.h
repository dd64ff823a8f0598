// The process's peak resident memory, as the kernel counts it.
#pragma once

#include <cstdint>
#include <optional>

#include "halftone/base/export.h"

namespace halftone::metrics {

// Bytes: VmHWM of /proc/self/status (proc(5)). Empty where there is no such file. Thread-safe.
HALFTONE_API std::optional<std::int64_t> peak_rss_bytes();

// Sets the peak to what is resident now, by writing 5 to /proc/self/clear_refs (Linux 4.0). False
// where that is not permitted; then the peak remains that of the whole process. Thread-safe.
HALFTONE_API bool reset_peak_rss();

}  // namespace halftone::metrics
