// The product's buffers. Out of memory inside a kernel ends in std::bad_alloc only where even the
// small per-thread blocks can't be had.
#pragma once

#include <new>

#include "halftone/base/workspace.h"

namespace halftone::kernels {

template <class T>
T* task_buffer(WorkspaceSlot slot, std::int64_t count) {
  void* data = workspace(slot, static_cast<std::size_t>(count) * sizeof(T));
  if (!data) throw std::bad_alloc();
  return static_cast<T*>(data);
}

}  // namespace halftone::kernels
