#include "halftone/ops/memory.h"

#include <c10/core/CPUAllocator.h>
#include <malloc.h>

#include <atomic>
#include <mutex>

namespace halftone::memory {
namespace {

std::atomic<std::int64_t> current{0};
std::atomic<std::int64_t> peak{0};

void count_new(const void* block) {
  const auto size = static_cast<std::int64_t>(malloc_usable_size(const_cast<void*>(block)));
  const auto now = current.fetch_add(size, std::memory_order_relaxed) + size;
  auto highest = peak.load(std::memory_order_relaxed);
  while (now > highest && !peak.compare_exchange_weak(highest, now, std::memory_order_relaxed)) {
  }
}

// The deleter of counted blocks. The pointer is the one that the inner allocator gave, with nothing
// in front: oneDNN's scratchpads are freed by whichever allocator is set at that time, so a block
// must be valid for both.
void counted_free(void* block) {
  if (!block) return;
  current.fetch_sub(static_cast<std::int64_t>(malloc_usable_size(block)),
                    std::memory_order_relaxed);
  c10::GetDefaultCPUAllocator()->raw_deallocate(block);
}

class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    auto* inner = c10::GetDefaultCPUAllocator();
    auto data = inner->allocate(bytes);
    if (data.get() && data.compare_exchange_deleter(inner->raw_deleter(), counted_free)) {
      count_new(data.get());
    }
    return data;
  }

  c10::DeleterFnPtr raw_deleter() const override { return counted_free; }

  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
};

// What was set before, null while the counting allocator is out.
c10::Allocator* replaced = nullptr;
std::mutex mutex;

}  // namespace

void install_counting_allocator() {
  static auto* allocator = new CountingAllocator;  // never freed: blocks may outlive everything
  std::lock_guard<std::mutex> lock(mutex);
  if (replaced) return;
  replaced = c10::GetCPUAllocator();
  c10::SetCPUAllocator(allocator);
}

void uninstall_counting_allocator() {
  std::lock_guard<std::mutex> lock(mutex);
  if (!replaced) return;
  c10::SetCPUAllocator(replaced);
  replaced = nullptr;
}

bool counting_allocator_installed() {
  std::lock_guard<std::mutex> lock(mutex);
  return replaced != nullptr;
}

std::int64_t current_tensor_bytes() { return current.load(std::memory_order_relaxed); }

std::int64_t peak_tensor_bytes() { return peak.load(std::memory_order_relaxed); }

void reset_peak() {
  peak.store(current.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

}  // namespace halftone::memory
