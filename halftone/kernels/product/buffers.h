// A kernel's buffers. Without memory for one the kernel ends in std::bad_alloc, on whichever
// thread; outputs may be written in part then, and ops/overrides/own_or_stock.h has LibTorch's
// kernel write them.
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
