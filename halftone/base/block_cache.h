// Freed blocks of memory kept for the next request of about their size: what stands between a
// training step and the page faults of mapping its activations anew every time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "halftone/base/export.h"

namespace halftone {

// Blocks come from the C library (posix_memalign) and are valid for free() at any time, cached or
// not; release() takes any block of the C library that is aligned to kAlignment, whoever allocated
// it, and knows its size by malloc_usable_size(). So nothing stands in front of a block and no
// table of blocks is kept.
//
// Requests are rounded up to a size class, 32 to the octave, and are served by a cached block of
// the same class or of the next three: at most 1/8 of a block is wasted. Within a class the block
// that was freed last is reused first. What is cached never exceeds limit(): the blocks that have
// lain longest go back to the C library. Blocks that can hold huge pages are advised so
// (MADV_HUGEPAGE).
//
// Thread-safe; a block may be released by another thread than the one that allocated it. One
// mutex, held for tens of nanoseconds, never over a system call.
class HALFTONE_API BlockCache {
 public:
  static constexpr std::size_t kAlignment = 64;
  // Below it a block costs the C library no page fault worth saving. 16 KiB are four pages.
  static constexpr std::size_t kSmallest = 16384;
  // Above it no request is taken (64 TiB, beyond what processors address).
  static constexpr std::size_t kLargest = std::size_t{1} << 46;

  // max_cached: the limit's upper bound.
  explicit BlockCache(std::size_t max_cached) : max_cached_(max_cached) {}
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;
  ~BlockCache() { trim(); }

  // The size that a request of `bytes` is rounded up to; kSmallest <= bytes <= kLargest.
  static std::size_t rounded(std::size_t bytes);

  // At least `bytes` bytes, not zeroed. Null where `bytes` lies outside kSmallest … kLargest and
  // where the C library has none left, even after everything cached was given back.
  void* allocate(std::size_t bytes);

  // Takes a block of at least kSmallest bytes.
  void release(void* block);

  // Gives everything cached back to the system; the peak is what is in use now.
  void trim();

  // trim(), and counts from zero: for when blocks were released without this cache.
  void reset();

  struct Statistics {
    std::size_t in_use = 0, peak_in_use = 0;  // bytes handed out and not yet released
    std::size_t cached = 0;                   // bytes
    std::size_t limit = 0;                    // of `cached`: the peak in use, max_cached at most
    std::uint64_t reused = 0, fresh = 0;      // requests served by a cached block, by a new one
  };
  Statistics statistics() const;

  // For pthread_atfork: no other thread is inside while a process forks.
  void before_fork() { mutex_.lock(); }
  void after_fork() { mutex_.unlock(); }

 private:
  struct Node;  // lies in the first bytes of a cached block

  static constexpr int kSteps = 32;        // classes per octave
  static constexpr int kFirstOctave = 14;  // log2(kSmallest)
  static constexpr int kClasses = (46 - kFirstOctave) * kSteps + 1;
  static constexpr int kAhead = 3;  // classes above its own that serve a request

  static int class_below(std::size_t bytes);
  static std::size_t class_bytes(int index);
  std::size_t limit() const;
  Node* take(int index);
  void push(void* block, std::size_t bytes);
  void unlink(Node* node);
  Node* cut_to(std::size_t bytes);

  const std::size_t max_cached_;
  mutable std::mutex mutex_;
  std::array<Node*, kClasses> newest_of_class_{};
  Node *newest_ = nullptr, *oldest_ = nullptr;  // of all, by the time of their release
  Statistics count_;
};

// Bytes of memory that this process may fill: the machine's, or its control group's limit.
HALFTONE_API std::size_t physical_memory();

}  // namespace halftone
