// Memory that kernels need for the time of a call: kept per thread from call to call, so that the
// steady state allocates nothing.
#pragma once

#include <cstddef>

#include "halftone/base/export.h"

namespace halftone {

// Which of a thread's buffers; a kernel that calls another uses others than that one.
enum class WorkspaceSlot { shared_operand, own_operand, sums, rows, layout };

// At least `bytes`, 64-byte aligned, contents undefined, the calling thread's alone until it asks
// for the same slot again. Grows as needed; a buffer beyond 64 MiB is given back when a request of
// less than a quarter of it follows. Null where there is no memory: the caller falls back.
HALFTONE_API void* workspace(WorkspaceSlot slot, std::size_t bytes);

// Tests only: from now on no thread gets a buffer of more than `bytes` that it doesn't have
// already, as if memory had run out.
HALFTONE_API void set_workspace_limit(std::size_t bytes);

// Gives back every buffer that no kernel is using: the calling thread's at once, each of another
// thread's when it is next asked for. Thread-safe; not from within a kernel.
HALFTONE_API void trim_workspaces();

}  // namespace halftone
