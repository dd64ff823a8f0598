#include "halftone/base/parallel.h"

#include <atomic>

namespace halftone {
namespace {

void serial(std::int64_t begin, std::int64_t end, std::int64_t /*grain*/,
            void (*body)(void*, std::int64_t, std::int64_t), void* context) {
  body(context, begin, end);
}

std::atomic<ParallelForFn> g_pool{serial};

}  // namespace

void set_parallel_for(ParallelForFn pool) { g_pool.store(pool ? pool : serial); }

ParallelForFn get_parallel_for() { return g_pool.load(std::memory_order_relaxed); }

}  // namespace halftone
