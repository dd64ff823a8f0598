// Memory of freed CPU tensors kept for the next ones.
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/base/trim.h"

namespace halftone::memory {

// Puts a caching allocator over LibTorch's own CPU allocator, or takes it out again and gives back
// what it holds. A training step then maps no memory in the steady state. Blocks below 16 KiB go to
// LibTorch's allocator; others are rounded up by at most 1/8, aligned to 64 bytes, not zeroed, and
// kept when they are freed, by whichever thread: at most as many bytes as were in use at the peak,
// and a quarter of the machine's memory. halftone::trim() gives them back.
//
// Not put in (and nothing said) under sanitizers and where HALFTONE_ALLOCATOR is "system"; throws
// UsageError where that is something else than "system" or "caching". halftone::enable() and
// Trainer put it in, halftone::disable() takes it out. Idempotent. As c10::SetAllocator, call them
// while no other thread allocates tensors.
HALFTONE_API void install_caching_allocator();
HALFTONE_API void uninstall_caching_allocator();
HALFTONE_API bool caching_allocator_installed();

// Of the blocks of 16 KiB and more that were allocated since it was put in.
struct CacheStatistics {
  std::int64_t in_use_bytes = 0, peak_in_use_bytes = 0;
  std::int64_t cached_bytes = 0, limit_bytes = 0;
  std::int64_t reused = 0, fresh = 0;  // requests served by a kept block, by a new one
};
HALFTONE_API CacheStatistics cache_statistics();  // thread-safe

}  // namespace halftone::memory
