#include "halftone/precision/cast_plan.h"

#include <algorithm>
#include <mutex>
#include <string>

#include "halftone/precision/cast_table.h"
#include "halftone/precision/parameter_names.h"
#include "halftone/precision/policy_check.h"

namespace halftone {
namespace {

// More policies than one process has in use; beyond it the oldest plan is worked out again.
constexpr std::size_t kPlansKept = 16;

}  // namespace

CastPlan::CastPlan(const Policy& policy) : compute_(scalar_type(policy.compute)) {
  policy.check();
  policy_.compute = policy.compute;
  policy_.modules = policy.modules;
  policy_.operations = policy.operations;
  policy_.emulation = policy.emulation;
  policy_.dynamic.layer_scales = policy.dynamic.layer_scales;
  if (policy.emulation.active()) emulation_.emplace(policy.emulation);
  for (const CastRow& row : cast_table()) {
    auto& format = rows_.emplace_back();
    for (const FormatRule& rule : policy.operations) {
      if (names_row(rule.match, row)) format = scalar_type(rule.format);
    }
  }
}

int CastPlan::module_rule(const at::Tensor& tensor) const {
  const std::string name =
      tensor.is_view() ? parameter_name(at::Tensor(tensor._base())) : parameter_name(tensor);
  if (name.empty()) return -1;
  for (int i = static_cast<int>(policy_.modules.size()) - 1; i >= 0; --i) {
    if (covers(policy_.modules[i].match, name)) return i;
  }
  return -1;
}

c10::ScalarType CastPlan::module_format(int rule) const {
  return scalar_type(policy_.modules[rule].format);
}

std::shared_ptr<const CastPlan> CastPlan::of(const Policy& policy) {
  static std::mutex mutex;
  static auto* plans = new std::vector<std::shared_ptr<const CastPlan>>;
  const auto same = [&](const std::shared_ptr<const CastPlan>& plan) {
    return plan->policy_.compute == policy.compute && plan->policy_.modules == policy.modules &&
           plan->policy_.operations == policy.operations &&
           plan->policy_.emulation == policy.emulation &&
           plan->policy_.dynamic.layer_scales == policy.dynamic.layer_scales;
  };
  const std::lock_guard lock(mutex);
  const auto found = std::find_if(plans->begin(), plans->end(), same);
  if (found != plans->end()) return *found;
  auto plan = std::make_shared<const CastPlan>(policy);
  if (plans->size() == kPlansKept) plans->erase(plans->begin());
  plans->push_back(plan);
  return plan;
}

}  // namespace halftone
