#include "halftone/ops/memory.h"

#include <c10/core/CPUAllocator.h>
#include <malloc.h>

#include <atomic>

#include "halftone/ops/allocator_layers.h"

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

// The deleter of counted blocks. The pointer is the one that the layer below gave, with nothing in
// front: see allocator_layers.h.
void counted_free(void* block) {
  if (!block) return;
  current.fetch_sub(static_cast<std::int64_t>(malloc_usable_size(block)),
                    std::memory_order_relaxed);
  below_counting().raw_deallocate(block);
}

class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    c10::Allocator& inner = below_counting();
    auto data = inner.allocate(bytes);
    if (data.get() && data.compare_exchange_deleter(inner.raw_deleter(), counted_free)) {
      count_new(data.get());
    }
    return data;
  }

  c10::DeleterFnPtr raw_deleter() const override { return counted_free; }

  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
};

}  // namespace

void install_counting_allocator() {
  static auto* allocator = new CountingAllocator;  // never freed: blocks may outlive everything
  set_layer(Layer::counting, allocator);
}

void uninstall_counting_allocator() { set_layer(Layer::counting, nullptr); }

bool counting_allocator_installed() { return layer_is_in(Layer::counting); }

std::int64_t current_tensor_bytes() { return current.load(std::memory_order_relaxed); }

std::int64_t peak_tensor_bytes() { return peak.load(std::memory_order_relaxed); }

void reset_peak() {
  peak.store(current.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

}  // namespace halftone::memory
