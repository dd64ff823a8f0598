// Live and peak bytes of CPU tensors.
#pragma once

#include <cstdint>

#include "halftone/base/export.h"

namespace halftone::memory {

// Puts an allocator that counts around LibTorch's own CPU allocator, or the caching one where that
// is in, or takes it out again. Counted is what is allocated while it is in, until it is freed by
// whichever thread, also after it was taken out; what was allocated before is not. The size of a
// block is what the C library reserves for it: the request rounded up to 16 bytes, or to a page for
// large ones; with the caching allocator, also to the kept block that serves it. Two relaxed atomic
// operations per allocation.
// Idempotent. As c10::SetAllocator, call them while no other thread allocates tensors.
HALFTONE_API void install_counting_allocator();
HALFTONE_API void uninstall_counting_allocator();
HALFTONE_API bool counting_allocator_installed();

// Thread-safe.
HALFTONE_API std::int64_t current_tensor_bytes();
HALFTONE_API std::int64_t peak_tensor_bytes();  // since the last reset_peak()
HALFTONE_API void reset_peak();                 // to what is live now

}  // namespace halftone::memory
