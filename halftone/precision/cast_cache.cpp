#include "halftone/precision/cast_cache.h"

#include <ATen/CachedTensorUtils.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <atomic>
#include <functional>

namespace halftone {
namespace {

std::atomic<std::uint64_t> generation{0};

int gradient_mode() {
  if (c10::InferenceMode::is_enabled()) return 2;
  return c10::GradMode::is_enabled() ? 1 : 0;
}

// CUDA graphs give new contents to a tensor without a new version: is_cached_tensor.
bool can_keep(const at::Tensor& tensor) {
  return tensor.requires_grad() && tensor.is_leaf() && !tensor.is_view() &&
         !tensor.is_inference() && tensor.has_storage() && !at::caching::is_cached_tensor(tensor);
}

}  // namespace

std::size_t CastCache::Hash::operator()(const Key& key) const {
  return std::hash<const void*>()(key.tensor) ^ (static_cast<std::size_t>(key.format) << 1) ^
         (static_cast<std::size_t>(key.mode) << 6);
}

at::Tensor CastCache::cast(const at::Tensor& tensor, c10::ScalarType format) {
  if (!can_keep(tensor)) return tensor.to(format);
  const Key key{tensor.unsafeGetTensorImpl(), format, gradient_mode()};
  const auto version = static_cast<std::int64_t>(tensor._version());
  const void* storage = tensor.const_data_ptr();
  const std::uint64_t now = generation.load(std::memory_order_acquire);
  {
    const std::lock_guard lock(mutex_);
    if (generation_ != now) {
      entries_.clear();
      generation_ = now;
    }
    const auto found = entries_.find(key);
    if (found != entries_.end() && found->second.version == version &&
        found->second.storage == storage) {
      return found->second.cast;
    }
  }
  at::Tensor cast = tensor.to(format);
  const std::lock_guard lock(mutex_);
  entries_.insert_or_assign(key,
                            Entry{WeakTensor(tensor.getIntrusivePtr()), version, storage, cast});
  return cast;
}

void CastCache::clear() {
  const std::lock_guard lock(mutex_);
  entries_.clear();
}

void CastCache::clear_all() { generation.fetch_add(1, std::memory_order_acq_rel); }

}  // namespace halftone
