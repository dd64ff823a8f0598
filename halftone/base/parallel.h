// parallel_for without torch: a function pointer that ops/ fills with LibTorch's pool.
#pragma once

#include <cstdint>
#include <type_traits>

#include "halftone/base/export.h"

namespace halftone {

// Calls body(context, begin, end) on disjoint ranges that cover [begin, end), none (but the last)
// smaller than `grain`; returns when all are done. Serial until a pool is set.
using ParallelForFn = void (*)(std::int64_t begin, std::int64_t end, std::int64_t grain,
                               void (*body)(void*, std::int64_t, std::int64_t), void* context);

HALFTONE_API void set_parallel_for(ParallelForFn pool);
HALFTONE_API ParallelForFn get_parallel_for();

// body: void(std::int64_t begin, std::int64_t end). It must not throw. How the range is cut depends
// on the thread count: a kernel that sums cuts its partial sums by shape and calls this over
// blocks.
template <class Body>
void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain, Body&& body) {
  if (end <= begin) return;
  using Plain = std::remove_reference_t<Body>;
  get_parallel_for()(
      begin, end, grain,
      [](void* context, std::int64_t b, std::int64_t e) { (*static_cast<Plain*>(context))(b, e); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace halftone
