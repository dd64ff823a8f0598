#include "halftone/data/prefetcher.h"

#include <system_error>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

#include "halftone/base/error.h"

namespace halftone::data {
namespace {

// A worker that wakes when a batch is taken would else run at once in the taker's place, and take()
// would last as long as building a batch. Batches are built ahead, so a worker can wait for the end
// of a time slice (sched(7), SCHED_BATCH). Where the system refuses, everything works, only later.
void let_the_step_go_first() {
#if defined(__linux__)
  const sched_param parameters{};
  pthread_setschedparam(pthread_self(), SCHED_BATCH, &parameters);
#endif
}

}  // namespace

Prefetcher::Prefetcher(int workers, int64_t depth, int64_t first, int64_t end,
                       std::function<Batch(int64_t)> make)
    : make_(std::move(make)),
      slots_(static_cast<size_t>(depth)),
      end_(end),
      claimed_(first),
      taken_(first) {
  try {
    for (int i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error& error) {
    if (!threads_.empty()) return;  // fewer threads give the same batches
    throw Error(std::string("cannot start a data loader thread: ") + error.what());
  }
}

Prefetcher::~Prefetcher() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  room_.notify_all();
  for (auto& thread : threads_) thread.join();
}

Batch Prefetcher::take() {
  Batch batch;
  {
    std::unique_lock lock(mutex_);
    Slot& next = slot(taken_);
    ready_.wait(lock, [&] { return next.done; });
    if (next.error) std::rethrow_exception(next.error);
    batch = std::move(next.batch);
    next = Slot{};
    ++taken_;
  }
  room_.notify_one();
  return batch;
}

void Prefetcher::work() {
  let_the_step_go_first();
  const auto depth = static_cast<int64_t>(slots_.size());
  for (;;) {
    int64_t number;
    {
      std::unique_lock lock(mutex_);
      room_.wait(lock, [&] { return stopping_ || claimed_ == end_ || claimed_ < taken_ + depth; });
      if (stopping_ || claimed_ == end_) return;
      number = claimed_++;
    }
    Slot built;
    built.done = true;
    // The exception's last use by this thread is before the lock: the taker owns it alone.
    try {
      built.batch = make_(number);
    } catch (...) {
      built.error = std::current_exception();
    }
    {
      std::lock_guard lock(mutex_);
      slot(number) = std::move(built);
    }
    ready_.notify_one();
  }
}

}  // namespace halftone::data
