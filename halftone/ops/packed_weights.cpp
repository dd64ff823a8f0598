#include "halftone/ops/packed_weights.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <shared_mutex>
#include <vector>

#include "halftone/base/trim.h"
#include "halftone/ops/overrides/conv2d.h"
#include "halftone/ops/overrides/half_tensor.h"
#include "halftone/ops/overrides/matmul.h"

namespace halftone::ops {
namespace {

using WeakTensor = c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;

struct KeptPack {
  WeakTensor owner;
  const void* owner_data;
  // Of the operand.
  const void* data;
  std::vector<std::int64_t> sizes, strides;
  WeightUse use;
  std::uint32_t version;
  std::shared_ptr<const PackedWeight> weight;

  bool is_of(const at::Tensor& operand, WeightUse how) const {
    return data == operand.const_data_ptr() && use == how && operand.sizes() == sizes &&
           operand.strides() == strides;
  }
};

struct Packs {
  std::shared_mutex mutex;
  std::vector<KeptPack> list;
  std::atomic<std::size_t> count{0};

  void resized() { count.store(list.size(), std::memory_order_release); }
};

Packs& packs() {
  static auto* value = new Packs;  // tensors may be freed after static objects
  return *value;
}

void remove_expired(Packs& all) {
  std::erase_if(all.list, [](const KeptPack& each) { return each.owner.expired(); });
  all.resized();
}

void release_expired() {
  Packs& all = packs();
  const std::unique_lock lock(all.mutex);
  remove_expired(all);
}

std::shared_ptr<const PackedWeight> pack(const at::Tensor& operand, WeightUse use) {
  auto weight = std::make_shared<PackedWeight>();
  if (use == WeightUse::matrix) {
    const MatrixOperand matrix = matrix_operand(operand);
    kernels::ProductArgs args;
    args.format = half_format(operand);
    args.k = operand.size(0), args.n = operand.size(1);
    args.b = matrix.rows, args.b_transposed = matrix.by_columns;
    weight->packed = kernels::pack_right_operand(args);
  } else {
    weight->dense = channels_last(operand);
    kernels::Conv2dArgs args;
    args.format = half_format(operand);
    args.shape.filters = operand.size(0), args.shape.channels = operand.size(1);
    args.shape.window = {operand.size(2), operand.size(3)};
    args.weight = half_data(weight->dense);
    weight->packed = kernels::pack_weights(args);
  }
  return weight;
}

std::uint32_t version_of(c10::TensorImpl& owner) {
  return owner.is_inference() ? 0 : owner.version_counter().current_version();
}

}  // namespace

bool keep_packed(const at::Tensor& owner, const at::Tensor& operand, WeightUse use) {
  static const bool on_request = (on_trim(release_expired), true);
  static_cast<void>(on_request);
  if (!is_half(operand) || !operand.device().is_cpu() || operand.layout() != at::kStrided ||
      owner.requires_grad() || operand.dim() != (use == WeightUse::matrix ? 2 : 4) ||
      (use == WeightUse::convolution && !reads_packed_weights(operand))) {
    return false;
  }
  const std::uint32_t version = version_of(*owner.unsafeGetTensorImpl());
  auto weight = pack(operand, use);
  if (weight->packed.empty()) return false;
  Packs& all = packs();
  const std::unique_lock lock(all.mutex);
  remove_expired(all);
  std::erase_if(all.list, [&](const KeptPack& each) { return each.is_of(operand, use); });
  all.list.push_back({WeakTensor(owner.getIntrusivePtr()), owner.const_data_ptr(),
                      operand.const_data_ptr(), operand.sizes().vec(), operand.strides().vec(), use,
                      version, std::move(weight)});
  all.resized();
  return true;
}

void forget_packed(const at::Tensor& owner) {
  Packs& all = packs();
  const std::unique_lock lock(all.mutex);
  std::erase_if(all.list, [&](const KeptPack& each) {
    const auto alive = each.owner.lock();
    return !alive || alive.get() == owner.unsafeGetTensorImpl();
  });
  all.resized();
}

std::shared_ptr<const PackedWeight> find_packed(const at::Tensor& operand, WeightUse use) {
  Packs& all = packs();
  if (all.count.load(std::memory_order_acquire) == 0) return nullptr;
  const auto find = [&] {
    return std::find_if(all.list.begin(), all.list.end(),
                        [&](const KeptPack& each) { return each.is_of(operand, use); });
  };
  const auto usable = [](const KeptPack& each) {
    const auto owner = each.owner.lock();
    return owner && owner->data() == each.owner_data && !owner->requires_grad() ? owner : nullptr;
  };
  {
    const std::shared_lock lock(all.mutex);
    const auto found = find();
    if (found == all.list.end()) return nullptr;
    const auto owner = usable(*found);
    if (!owner) return nullptr;
    if (version_of(*owner) == found->version) return found->weight;
  }
  const std::unique_lock lock(all.mutex);
  const auto found = find();
  if (found == all.list.end()) return nullptr;
  const auto owner = usable(*found);
  if (!owner) return nullptr;
  if (version_of(*owner) == found->version) return found->weight;
  found->version = version_of(*owner);
  try {
    return found->weight = pack(operand, use);
  } catch (const std::bad_alloc&) {
    all.list.erase(found);
    all.resized();
    return nullptr;
  }
}

}  // namespace halftone::ops
