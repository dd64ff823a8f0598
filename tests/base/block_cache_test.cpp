#include "halftone/base/block_cache.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <fstream>
#include <mutex>
#include <new>
#include <random>
#include <thread>
#include <vector>

#include "tests/support/test.h"

namespace halftone {
namespace {

constexpr std::size_t kMega = std::size_t{1} << 20;
constexpr std::size_t kUnbounded = std::size_t{1} << 46;

bool cache_test_sanitized() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return true;
#else
  return false;
#endif
}

// Page faults of this process that needed no disk.
long minor_faults() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

TEST(BlockCache, ClassesWasteAtMostAThirtySecond) {
  for (std::size_t bytes = BlockCache::kSmallest; bytes < kUnbounded / 2; bytes += 1 + bytes / 67) {
    const std::size_t rounded = BlockCache::rounded(bytes);
    ASSERT_GE(rounded, bytes);
    ASSERT_LE(rounded - bytes, bytes / 32) << bytes;
    ASSERT_EQ(BlockCache::rounded(rounded), rounded);
    ASSERT_EQ(rounded % BlockCache::kAlignment, 0U);
  }
  EXPECT_EQ(BlockCache::rounded(BlockCache::kLargest), BlockCache::kLargest);
}

TEST(BlockCache, TheBlockThatWasFreedLastComesBack) {
  BlockCache cache(kUnbounded);
  void* first = cache.allocate(3 * kMega);
  void* second = cache.allocate(3 * kMega);
  ASSERT_NE(first, second);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first) % BlockCache::kAlignment, 0U);
  cache.release(second);
  cache.release(first);
  EXPECT_EQ(cache.allocate(3 * kMega), first);
  EXPECT_EQ(cache.allocate(3 * kMega - 5000), second);
  const auto count = cache.statistics();
  EXPECT_EQ(count.fresh, 2U);
  EXPECT_EQ(count.reused, 2U);
  EXPECT_EQ(count.cached, 0U);
  cache.release(first);
  cache.release(second);
}

TEST(BlockCache, ABlockServesNothingMuchSmallerAndNothingLarger) {
  BlockCache cache(kUnbounded);
  void* block = cache.allocate(8 * kMega);
  void* keeps_the_limit_up = cache.allocate(8 * kMega);
  cache.release(block);
  void* smaller = cache.allocate(7 * kMega - 1);  // an eighth and a byte less
  EXPECT_NE(smaller, block);
  void* larger = cache.allocate(8 * kMega + kMega / 2);
  EXPECT_NE(larger, block);
  void* a_little_smaller = cache.allocate(8 * kMega - kMega / 4);
  EXPECT_EQ(a_little_smaller, block);
  for (void* each : {smaller, larger, a_little_smaller, keeps_the_limit_up}) cache.release(each);
}

TEST(BlockCache, RefusesWhatIsTooSmallOrTooLarge) {
  BlockCache cache(kUnbounded);
  EXPECT_EQ(cache.allocate(0), nullptr);
  EXPECT_EQ(cache.allocate(BlockCache::kSmallest - 1), nullptr);
  EXPECT_EQ(cache.allocate(BlockCache::kLargest + 1), nullptr);
  EXPECT_EQ(cache.allocate(~std::size_t{0}), nullptr);
}

TEST(BlockCache, TheLimitHoldsAndTheOldestGoFirst) {
  constexpr std::size_t kLimit = 8 * kMega;
  BlockCache cache(kLimit);
  std::vector<void*> blocks;
  for (std::size_t i = 0; i < 12; ++i) blocks.push_back(cache.allocate(kMega + i * kMega / 8));
  for (void* each : blocks) {
    cache.release(each);
    ASSERT_LE(cache.statistics().cached, kLimit);
  }
  EXPECT_GT(cache.statistics().cached, kLimit / 2);
  const auto before = cache.statistics();
  void* newest = cache.allocate(kMega + 11 * kMega / 8);
  void* oldest = cache.allocate(kMega);
  EXPECT_EQ(cache.statistics().reused, before.reused + 1);
  EXPECT_EQ(newest, blocks.back());
  cache.release(newest);
  cache.release(oldest);
  void* beyond = cache.allocate(2 * kLimit);  // never kept, and nothing else goes for it
  const std::size_t cached = cache.statistics().cached;
  cache.release(beyond);
  EXPECT_EQ(cache.statistics().cached, cached);
}

TEST(BlockCache, NoMoreIsKeptThanWasInUseAtThePeak) {
  BlockCache cache(kUnbounded);
  for (std::size_t bytes = kMega; bytes < 20 * kMega; bytes += kMega) {
    cache.release(cache.allocate(bytes));  // no two sizes share a block
    const auto count = cache.statistics();
    ASSERT_LE(count.cached, count.peak_in_use);
  }
  EXPECT_GE(cache.statistics().peak_in_use, 19 * kMega);
}

TEST(BlockCache, TrimGivesEverythingBack) {
  BlockCache cache(kUnbounded);
  void* kept = cache.allocate(2 * kMega);
  cache.release(cache.allocate(4 * kMega));
  cache.release(cache.allocate(20000));
  cache.trim();
  auto count = cache.statistics();
  EXPECT_EQ(count.cached, 0U);
  EXPECT_GE(count.in_use, 2 * kMega);
  EXPECT_EQ(count.peak_in_use, count.in_use);
  cache.release(kept);
  EXPECT_EQ(cache.statistics().in_use, 0U);
}

TEST(BlockCache, BlocksOfTheCLibraryAreTakenAndGiven) {
  BlockCache cache(kUnbounded);
  void* sets_the_limit = cache.allocate(2 * kMega);
  void* foreign = nullptr;
  ASSERT_EQ(::posix_memalign(&foreign, BlockCache::kAlignment, kMega), 0);
  cache.release(foreign);
  void* block = cache.allocate(kMega - kMega / 20);
  EXPECT_EQ(block, foreign);
  ::free(block);  // as the allocator does that is in force after this one was taken out
  cache.release(sets_the_limit);
}

TEST(BlockCache, TheSteadyStateFaultsNoPages) {
  if (cache_test_sanitized()) GTEST_SKIP() << "the sanitizer's own allocator maps pages";
  BlockCache cache(kUnbounded);
  const auto step = [&] {
    std::vector<void*> blocks;
    for (std::size_t i = 0; i < 16; ++i) {
      const std::size_t bytes = kMega + i * 300000;
      blocks.push_back(cache.allocate(bytes));
      std::memset(blocks.back(), 1, bytes);
    }
    for (void* each : blocks) cache.release(each);
  };
  step();
  const auto fresh = cache.statistics().fresh;
  const long before = minor_faults();
  for (int i = 0; i < 5; ++i) step();
  EXPECT_LE(minor_faults() - before, 50);  // 11,000 pages are written in each step
  EXPECT_EQ(cache.statistics().fresh, fresh);
}

TEST(BlockCache, OutOfMemoryGivesBackWhatIsCachedAndTriesAgain) {
  if (cache_test_sanitized()) GTEST_SKIP() << "the sanitizer's shadow exceeds any limit";
  BlockCache cache(kUnbounded);
  std::vector<void*> blocks;
  for (int i = 0; i < 16; ++i) blocks.push_back(cache.allocate(64 * kMega));
  for (void* each : blocks) cache.release(each);
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  rlimit before{};
  ::getrlimit(RLIMIT_AS, &before);
  const rlimit small{pages * static_cast<std::size_t>(::getpagesize()) + 128 * kMega,
                     before.rlim_max};
  ::setrlimit(RLIMIT_AS, &small);
  void* fits_after_trim = cache.allocate(700 * kMega);
  void* never_fits = cache.allocate(std::size_t{1} << 44);
  ::setrlimit(RLIMIT_AS, &before);
  EXPECT_NE(fits_after_trim, nullptr);
  EXPECT_EQ(never_fits, nullptr);
  cache.release(fits_after_trim);
}

// Every thread fills its blocks with a pattern, hands some to the next thread to free, and looks
// whether the pattern is still there.
TEST(BlockCache, ThreadsDoNotSeeEachOthersBlocks) {
  BlockCache cache(24 * kMega);
  struct Held {
    unsigned char* block;
    std::size_t bytes;
    unsigned char mark;
  };
  constexpr int kThreads = 4, kRounds = 1500;
  std::mutex mutex;
  std::vector<Held> handed;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      std::vector<Held> held;
      const auto check_and_free = [&](const Held& each) {
        for (std::size_t at : {std::size_t{0}, each.bytes / 2, each.bytes - 1}) {
          if (each.block[at] != each.mark) ++wrong;
        }
        if (std::any_of(each.block, each.block + 256, [&](auto b) { return b != each.mark; })) {
          ++wrong;
        }
        cache.release(each.block);
      };
      for (int round = 0; round < kRounds; ++round) {
        const std::size_t bytes =
            BlockCache::kSmallest + random() % (random() % 8 ? 200000 : 3000000);
        auto* block = static_cast<unsigned char*>(cache.allocate(bytes));
        const auto mark = static_cast<unsigned char>(random());
        std::memset(block, mark, 256);
        block[bytes / 2] = block[bytes - 1] = mark;
        held.push_back({block, bytes, mark});
        if (held.size() < 6) continue;
        const std::size_t chosen = random() % held.size();
        std::swap(held[chosen], held.back());
        const Held out = held.back();
        held.pop_back();
        if (random() % 2) {
          check_and_free(out);
          continue;
        }
        std::vector<Held> others;
        {
          const std::lock_guard<std::mutex> lock(mutex);
          others.swap(handed);
          handed.push_back(out);
        }
        for (const Held& each : others) check_and_free(each);
      }
      for (const Held& each : held) check_and_free(each);
    });
  }
  for (auto& thread : threads) thread.join();
  for (const Held& each : handed) cache.release(each.block);
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(cache.statistics().in_use, 0U);
  EXPECT_GT(cache.statistics().reused, cache.statistics().fresh);
}

// As fast as they can, on few sizes: two threads that were given the same block would see it.
TEST(BlockCache, ThreadsThatHammerGetBlocksOfTheirOwn) {
  BlockCache cache(4 * kMega);
  constexpr int kThreads = 4, kRounds = 400000;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::array<std::atomic<long>*, 3> held{};
      for (long round = 0; round < kRounds; ++round) {
        auto*& slot = held[static_cast<std::size_t>(round % 3)];
        if (slot) {
          if (slot->load(std::memory_order_relaxed) != (round - 3) * kThreads + t) ++wrong;
          cache.release(slot);
        }
        slot = new (cache.allocate(BlockCache::kSmallest << (round % 2)))
            std::atomic<long>(round * kThreads + t);
      }
      for (auto* each : held) cache.release(each);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(cache.statistics().in_use, 0U);
}

TEST(PhysicalMemory, IsSomethingAndNotMoreThanAPetabyte) {
  EXPECT_GT(physical_memory(), 64 * kMega);
  EXPECT_LT(physical_memory(), std::size_t{1} << 50);
}

}  // namespace
}  // namespace halftone
