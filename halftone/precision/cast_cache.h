// Cast weights, kept within a region of Autocast.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <mutex>
#include <unordered_map>

namespace halftone {

// Thread-safe. An entry is used only while the weight's version, storage and the gradient mode are
// those that it was made under, so it can't be stale and can't lose gradients.
class CastCache {
 public:
  // `tensor` in another format; kept if it is a leaf that requires gradients (a weight).
  at::Tensor cast(const at::Tensor& tensor, c10::ScalarType format);

  void clear();

  // Makes every cache drop what it holds, at its next use.
  static void clear_all();

 private:
  struct Key {
    const c10::TensorImpl* tensor;
    c10::ScalarType format;
    int mode;  // no gradients, gradients, inference
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const;
  };
  using WeakTensor = c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;
  struct Entry {
    WeakTensor source;  // keeps the address from being used for another tensor
    std::int64_t version;
    const void* storage;
    at::Tensor cast;
  };

  std::mutex mutex_;
  std::unordered_map<Key, Entry, Hash> entries_;
  std::uint64_t generation_ = 0;
};

}  // namespace halftone
