#include "halftone/precision/cast_cache.h"

#include <ATen/CachedTensorUtils.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <atomic>

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
         !tensor.is_inference() && !tensor.grad().defined() && tensor.has_storage() &&
         !at::caching::is_cached_tensor(tensor);
}

}  // namespace

at::Tensor CastCache::cast(const at::Tensor& tensor, c10::ScalarType format) {
  if (!can_keep(tensor)) return tensor.to(format);
  const Origin origin{format, gradient_mode(), static_cast<std::int64_t>(tensor._version()),
                      tensor.const_data_ptr()};
  at::Tensor cast = find(tensor, origin);
  if (!cast.defined()) {
    cast = tensor.to(format);
    keep(tensor, origin, cast);
  }
  return cast;
}

at::Tensor CastCache::find(const at::Tensor& tensor, const Origin& origin) {
  const std::uint64_t now = generation.load(std::memory_order_acquire);
  const std::lock_guard lock(mutex_);
  if (generation_ != now) {
    weights_.clear();
    generation_ = now;
  }
  const auto weight = weights_.find(tensor.unsafeGetTensorImpl());
  if (weight == weights_.end()) return {};
  for (const auto& [known, cast] : weight->second.casts) {
    if (known == origin) return cast;
  }
  return {};
}

void CastCache::keep(const at::Tensor& tensor, const Origin& origin, const at::Tensor& cast) {
  const c10::TensorImpl* key = tensor.unsafeGetTensorImpl();
  {
    const std::lock_guard lock(mutex_);
    auto [place, added] =
        weights_.try_emplace(key, Weight{WeakTensor(tensor.getIntrusivePtr()), false, {}});
    Weight& weight = place->second;
    if (weight.got_gradient) return;
    // Casts of an earlier version are of no more use.
    std::erase_if(weight.casts, [&](const auto& known) {
      return known.first.version != origin.version || known.first.storage != origin.storage;
    });
    weight.casts.emplace_back(origin, cast);
  }
  if (cast.requires_grad()) {
    cast.register_hook([cache = weak_from_this(), key](const at::Tensor&) {
      if (const auto self = cache.lock()) self->note_gradient(key);
    });
  }
}

// A weight that was forgotten meanwhile stays so: its address may be another tensor's by now.
void CastCache::note_gradient(const c10::TensorImpl* tensor) {
  const std::lock_guard lock(mutex_);
  const auto weight = weights_.find(tensor);
  if (weight == weights_.end()) return;
  weight->second.got_gradient = true;
  weight->second.casts.clear();
}

void CastCache::clear() {
  const std::lock_guard lock(mutex_);
  weights_.clear();
}

void CastCache::clear_all() { generation.fetch_add(1, std::memory_order_acq_rel); }

}  // namespace halftone
