#include "halftone/ops/caching_allocator.h"

#include <c10/core/CPUAllocator.h>
#include <malloc.h>
#include <pthread.h>

#include <cstdlib>
#include <string_view>

#include "halftone/base/block_cache.h"
#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/ops/allocator_layers.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HALFTONE_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HALFTONE_SANITIZED 1
#endif

namespace halftone::memory {
namespace {

// Of the machine's memory at most a quarter lies idle in the cache.
constexpr std::size_t kMemoryShare = 4;

BlockCache& cache() {
  static auto* value = [] {
    auto* made = new BlockCache(physical_memory() / kMemoryShare);  // blocks outlive everything
    ::pthread_atfork([] { cache().before_fork(); }, [] { cache().after_fork(); },
                     [] { cache().after_fork(); });
    on_trim([] { cache().trim(); });
    return made;
  }();
  return *value;
}

// The deleter of its blocks, also after it was taken out, and of whatever oneDNN hands to it.
void cached_free(void* block) {
  if (!block) return;
  if (!layer_is_in(Layer::caching) || ::malloc_usable_size(block) < BlockCache::kSmallest) {
    c10::GetDefaultCPUAllocator()->raw_deallocate(block);
    return;
  }
  c10::profiledCPUMemoryReporter().Delete(block);
  cache().release(block);
}

class CachingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    if (void* block = cache().allocate(bytes)) {
      c10::profiledCPUMemoryReporter().New(block, bytes);
      return {block, block, cached_free, c10::Device(c10::DeviceType::CPU)};
    }
    // Small, or there is no memory: then the error is LibTorch's.
    auto* stock = c10::GetDefaultCPUAllocator();
    c10::DataPtr data = stock->allocate(bytes);
    static_cast<void>(data.compare_exchange_deleter(stock->raw_deleter(), cached_free));
    return data;
  }

  c10::DeleterFnPtr raw_deleter() const override { return cached_free; }

  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
};

bool wanted() {
#ifdef HALFTONE_SANITIZED
  return false;  // it would hide what they look for: uses after free, accesses out of bounds
#else
  const char* value = std::getenv("HALFTONE_ALLOCATOR");
  const std::string_view name = value ? value : "";
  if (name.empty() || name == "caching") return true;
  if (name == "system") return false;
  throw UsageError(quote(name), "\"caching\" or \"system\"", "HALFTONE_ALLOCATOR");
#endif
}

}  // namespace

void install_caching_allocator() {
  static auto* allocator = new CachingAllocator;  // never freed: blocks may outlive everything
  if (!wanted()) return;
  cache();
  set_layer(Layer::caching, allocator);
}

void uninstall_caching_allocator() {
  if (set_layer(Layer::caching, nullptr)) cache().reset();
}

bool caching_allocator_installed() { return layer_is_in(Layer::caching); }

CacheStatistics cache_statistics() {
  const BlockCache::Statistics given = cache().statistics();
  const auto number = [](auto value) { return static_cast<std::int64_t>(value); };
  return {.in_use_bytes = number(given.in_use),
          .peak_in_use_bytes = number(given.peak_in_use),
          .cached_bytes = number(given.cached),
          .limit_bytes = number(given.limit),
          .reused = number(given.reused),
          .fresh = number(given.fresh)};
}

}  // namespace halftone::memory
