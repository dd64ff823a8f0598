// What is known of tensors, found again from the tensor itself.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <utility>

namespace halftone {

// Keyed by TensorImpl, for the life of the tensor. A weak reference keeps the TensorImpl's address
// taken, so that a dead entry can't stand for a new tensor; dead entries go when the map has
// doubled since they last went. Thread-safe.
template <class Value>
class TensorMap {
 public:
  void set(const at::Tensor& tensor, Value value) {
    const std::unique_lock lock(mutex_);
    if (entries_.size() >= sweep_at_) sweep();
    entries_.insert_or_assign(tensor.unsafeGetTensorImpl(),
                              Entry{Weak(tensor.getIntrusivePtr()), std::move(value)});
  }

  // An empty value where there is none.
  Value find(const at::Tensor& tensor) const {
    const std::shared_lock lock(mutex_);
    const auto found = entries_.find(tensor.unsafeGetTensorImpl());
    return found == entries_.end() ? Value{} : found->second.value;
  }

 private:
  using Weak = c10::weak_intrusive_ptr<c10::TensorImpl, at::UndefinedTensorImpl>;
  struct Entry {
    Weak tensor;
    Value value;
  };
  static constexpr std::size_t kSmallest = 256;

  void sweep() {
    std::erase_if(entries_, [](const auto& entry) { return entry.second.tensor.expired(); });
    sweep_at_ = std::max(kSmallest, 2 * entries_.size());
  }

  mutable std::shared_mutex mutex_;
  std::unordered_map<const c10::TensorImpl*, Entry> entries_;
  std::size_t sweep_at_ = kSmallest;
};

}  // namespace halftone
