#include "halftone/base/block_cache.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <fstream>
#include <limits>
#include <new>

namespace halftone {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

void* aligned_block(std::size_t alignment, std::size_t bytes) {
  void* block = nullptr;
  return ::posix_memalign(&block, alignment, bytes) == 0 ? block : nullptr;
}

// A block that begins at a huge page and whose whole huge pages are advised to be such.
void* huge_block(std::size_t bytes) {
  void* block = aligned_block(kHugePage, bytes);
  if (!block) return nullptr;
  // glibc leaves what it mapped for the alignment at the block's end; this cuts it off, in place.
  void* cut = ::realloc(block, bytes);
  if (cut) block = cut;
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  if (address % kHugePage == 0) {
    ::madvise(block, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  } else if (address % BlockCache::kAlignment != 0) {  // another C library may have moved it
    ::free(block);
    return aligned_block(BlockCache::kAlignment, bytes);
  }
  return block;
}

void* from_system(std::size_t bytes) {
  return bytes >= kHugePage ? huge_block(bytes) : aligned_block(BlockCache::kAlignment, bytes);
}

}  // namespace

struct BlockCache::Node {
  Node *newer_of_class, *older_of_class;
  Node *newer, *older;
  std::size_t bytes;
};

// The highest class that a block of `bytes` can serve.
int BlockCache::class_below(std::size_t bytes) {
  const int octave = static_cast<int>(std::bit_width(bytes)) - 1;
  const auto step = static_cast<int>((bytes >> (octave - 5)) & (kSteps - 1));
  return std::min((octave - kFirstOctave) * kSteps + step, kClasses - 1);
}

std::size_t BlockCache::class_bytes(int index) {
  const auto step = static_cast<std::size_t>(kSteps + index % kSteps);
  return step << (index / kSteps + kFirstOctave - 5);
}

std::size_t BlockCache::rounded(std::size_t bytes) {
  const int index = class_below(bytes);
  return class_bytes(class_bytes(index) < bytes ? index + 1 : index);
}

std::size_t BlockCache::limit() const { return std::min(max_cached_, count_.peak_in_use); }

void BlockCache::unlink(Node* node) {
  Node*& newest = newest_of_class_[static_cast<std::size_t>(class_below(node->bytes))];
  (node->newer_of_class ? node->newer_of_class->older_of_class : newest) = node->older_of_class;
  if (node->older_of_class) node->older_of_class->newer_of_class = node->newer_of_class;
  (node->newer ? node->newer->older : newest_) = node->older;
  (node->older ? node->older->newer : oldest_) = node->newer;
  count_.cached -= node->bytes;
}

void BlockCache::push(void* block, std::size_t bytes) {
  Node*& newest = newest_of_class_[static_cast<std::size_t>(class_below(bytes))];
  Node* node = new (block) Node{nullptr, newest, nullptr, newest_, bytes};
  if (newest) newest->newer_of_class = node;
  (newest_ ? newest_->newer : oldest_) = node;
  newest = newest_ = node;
  count_.cached += bytes;
}

BlockCache::Node* BlockCache::take(int index) {
  const int end = std::min(index + kAhead, kClasses - 1);
  for (int i = index; i <= end; ++i) {
    Node* node = newest_of_class_[static_cast<std::size_t>(i)];
    if (!node) continue;
    unlink(node);
    return node;
  }
  return nullptr;
}

// Unlinks the oldest until at most `bytes` are cached; returns them, linked by `older`.
BlockCache::Node* BlockCache::cut_to(std::size_t bytes) {
  Node* cut = nullptr;
  while (count_.cached > bytes) {
    Node* node = oldest_;
    unlink(node);
    node->older = cut;
    cut = node;
  }
  return cut;
}

void* BlockCache::allocate(std::size_t bytes) {
  if (bytes < kSmallest || bytes > kLargest) return nullptr;
  const std::size_t wanted = rounded(bytes);
  void* block = nullptr;
  std::size_t size = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (Node* node = take(class_below(wanted))) {
      size = node->bytes;
      block = node;
      ++count_.reused;
      count_.in_use += size;
      count_.peak_in_use = std::max(count_.peak_in_use, count_.in_use);
      return block;
    }
  }
  block = from_system(wanted);
  if (!block) {
    trim();
    block = from_system(wanted);
  }
  if (!block) return nullptr;
  size = ::malloc_usable_size(block);
  const std::lock_guard<std::mutex> lock(mutex_);
  ++count_.fresh;
  count_.in_use += size;
  count_.peak_in_use = std::max(count_.peak_in_use, count_.in_use);
  return block;
}

void BlockCache::release(void* block) {
  const std::size_t size = ::malloc_usable_size(block);
  Node* out = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    count_.in_use -= std::min(size, count_.in_use);  // it may come from elsewhere
    if (size <= limit()) {
      push(block, size);
      out = cut_to(limit());
      block = nullptr;
    }
  }
  ::free(block);
  while (out) {
    Node* next = out->older;
    ::free(out);
    out = next;
  }
}

void BlockCache::trim() {
  Node* out = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    out = cut_to(0);
    count_.peak_in_use = count_.in_use;
  }
  while (out) {
    Node* next = out->older;
    ::free(out);
    out = next;
  }
#ifdef __GLIBC__
  ::malloc_trim(0);  // blocks of some MB come from the heap, which free() shrinks only at its top
#endif
}

void BlockCache::reset() {
  trim();
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::size_t cached = count_.cached;
  count_ = {};
  count_.cached = cached;
}

BlockCache::Statistics BlockCache::statistics() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Statistics result = count_;
  result.limit = limit();
  return result;
}

std::size_t physical_memory() {
  auto bytes = static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) *
               static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::size_t group = 0;  // "max" where there is no limit: reads nothing
  if (std::ifstream("/sys/fs/cgroup/memory.max") >> group && group > 0) {
    bytes = std::min(bytes, group);
  }
  return bytes;
}

}  // namespace halftone
