#include "halftone/precision/parameter_names.h"

#include <torch/nn/module.h>

#include <algorithm>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

namespace halftone {
namespace {

using Weak = c10::weak_intrusive_ptr<c10::TensorImpl, at::UndefinedTensorImpl>;

// A weak reference keeps the TensorImpl's address taken, so that a dead entry can't name a new
// tensor; dead entries go when the map has doubled since they last went.
class Names {
 public:
  void set(const at::Tensor& tensor, const std::string& name) {
    const std::unique_lock lock(mutex_);
    if (entries_.size() >= sweep_at_) sweep();
    entries_.insert_or_assign(tensor.unsafeGetTensorImpl(),
                              Entry{Weak(tensor.getIntrusivePtr()), name});
  }

  std::string find(const at::Tensor& tensor) const {
    const std::shared_lock lock(mutex_);
    const auto found = entries_.find(tensor.unsafeGetTensorImpl());
    return found == entries_.end() ? "" : found->second.name;
  }

 private:
  struct Entry {
    Weak tensor;
    std::string name;
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

// Never destroyed: a thread may still look up while the process ends.
Names& names() {
  static auto* instance = new Names;
  return *instance;
}

}  // namespace

void register_parameter_names(const torch::nn::Module& module, const std::string& prefix) {
  const auto parameters = module.named_parameters(/*recurse=*/true);
  // Backwards, so that the first name of a shared parameter stays.
  for (std::size_t i = parameters.size(); i-- > 0;) {
    const auto& item = parameters[i];
    if (!item.value().defined()) continue;
    names().set(item.value(), prefix.empty() ? item.key() : prefix + "." + item.key());
  }
}

std::string parameter_name(const at::Tensor& tensor) {
  return tensor.defined() ? names().find(tensor) : "";
}

}  // namespace halftone
