// A Policy worked out for the cast table.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "halftone/precision/emulation.h"
#include "halftone/precision/policy.h"

namespace halftone {

// Never changed once it is made; any thread may use it.
class CastPlan {
 public:
  // The plan of a policy, kept from call to call. Throws UsageError where policy.check() does.
  // Thread-safe.
  static std::shared_ptr<const CastPlan> of(const Policy& policy);

  explicit CastPlan(const Policy& policy);

  c10::ScalarType compute() const { return compute_; }

  // The format that the last matching operation rule gives to a row of the table.
  std::optional<c10::ScalarType> operation_format(std::size_t row) const { return rows_[row]; }

  // Null where nothing is emulated.
  const Emulation* emulation() const { return emulation_ ? &*emulation_ : nullptr; }

  bool layer_scales() const { return policy_.dynamic.layer_scales; }

  bool has_module_rules() const { return !policy_.modules.empty(); }

  // The place of the last module rule that matches the tensor's name, or -1. A view of a parameter
  // (nn::Linear multiplies by `weight.t()`) has the parameter's name.
  int module_rule(const at::Tensor& tensor) const;
  c10::ScalarType module_format(int rule) const;

 private:
  Policy policy_;  // compute, modules, operations, emulation, layer_scales alone
  std::optional<Emulation> emulation_;
  c10::ScalarType compute_;
  std::vector<std::optional<c10::ScalarType>> rows_;
};

}  // namespace halftone
