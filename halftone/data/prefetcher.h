// Threads that build batches ahead of their use, handed out in order.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "halftone/data/batch.h"

namespace halftone::data {

// Builds batches first to end - 1, at most `depth` ahead of the one that is taken next. take() is
// for one thread; destruction at any time waits for the batches in work and joins.
class Prefetcher {
 public:
  // make(b) is called from several threads at once. Throws Error where no thread can be started.
  Prefetcher(int workers, int64_t depth, int64_t first, int64_t end,
             std::function<Batch(int64_t)> make);
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  // The next batch in order; call it end - first times. Rethrows what make threw for it, and
  // again if called again.
  Batch take();

 private:
  struct Slot {
    bool done = false;
    Batch batch;
    std::exception_ptr error;
  };

  void work();
  Slot& slot(int64_t number) { return slots_[static_cast<size_t>(number) % slots_.size()]; }

  std::function<Batch(int64_t)> make_;
  std::vector<Slot> slots_;  // batch b is built in slot b % depth
  const int64_t end_;
  std::mutex mutex_;  // guards slots_ and what follows
  std::condition_variable room_, ready_;
  int64_t claimed_, taken_;  // the next batch to build, to take
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace halftone::data
