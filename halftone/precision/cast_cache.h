// Cast weights, kept within a region of Autocast.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace halftone {

// Thread-safe. A cast is used again only while the weight's version, storage and the gradient mode
// are those that it was made under. torch::optim::SGD writes through `.data()`, which counts no
// version; but whoever updates a weight has its gradient first. So a weight that has a gradient, or
// got one since the last clear(), is cast anew at every use.
class CastCache : public std::enable_shared_from_this<CastCache> {
 public:
  // `tensor` in another format; kept if it is a leaf that requires gradients (a weight).
  at::Tensor cast(const at::Tensor& tensor, c10::ScalarType format);

  void clear();

  // Makes every cache drop what it holds, at its next use.
  static void clear_all();

 private:
  using WeakTensor = c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;
  struct Origin {
    c10::ScalarType format;
    int mode;  // no gradients, gradients, inference
    std::int64_t version;
    const void* storage;
    bool operator==(const Origin&) const = default;
  };
  struct Weight {
    WeakTensor tensor;  // keeps the address from being used for another tensor
    bool got_gradient = false;
    std::vector<std::pair<Origin, at::Tensor>> casts;
  };

  at::Tensor find(const at::Tensor& tensor, const Origin& origin);
  void keep(const at::Tensor& tensor, const Origin& origin, const at::Tensor& cast);
  void note_gradient(const c10::TensorImpl* tensor);

  std::mutex mutex_;
  std::unordered_map<const c10::TensorImpl*, Weight> weights_;
  std::uint64_t generation_ = 0;
};

}  // namespace halftone
