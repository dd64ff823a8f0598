// Halftone's half kernels in LibTorch's dispatcher: on and off at run time.
#pragma once

#include <string>
#include <vector>

#include "halftone/base/export.h"

namespace halftone {

// Registers Halftone's CPU kernels for fp16 and bf16 in place of LibTorch's, for the whole process:
// every program, C++ or Python, then runs them wherever it runs LibTorch's operations on half CPU
// tensors. Other formats and devices go to LibTorch's own kernels as before. Also puts in the
// caching allocator (caching_allocator.h).
//
// HALFTONE_DISABLE=conv2d,addmm leaves the operations named out (names as operations() gives them).
// Throws UsageError where it names none of them. Idempotent. Both calls change the dispatcher's
// tables: make them while no other thread runs operations.
HALFTONE_API void enable();

// Takes them and the allocator out again: LibTorch is then as it was.
HALFTONE_API void disable();

HALFTONE_API bool enabled();

// One operation that Halftone serves.
struct OperationState {
  std::string name;  // as HALFTONE_DISABLE takes it
  bool enabled = false;
};

// All of them, sorted by name.
HALFTONE_API std::vector<OperationState> operations();

}  // namespace halftone
