#include "halftone/nn/policy_exception.h"

#include "halftone/precision/autocast_region.h"
#include "halftone/precision/cast_table.h"

namespace halftone::nn {

bool policy_names(std::string_view operation, const std::optional<at::Tensor>& weight) {
  const AutocastRegion* region = AutocastRegion::current();
  const CastPlan* plan = region ? region->plans[*autocast_device_index(c10::kCPU)].get() : nullptr;
  if (!plan) return false;
  if (plan->has_module_rules() && weight && plan->module_rule(*weight) >= 0) return true;
  const auto& table = cast_table();
  for (std::size_t row = 0; row < table.size(); ++row) {
    if (table[row].operation == operation) return plan->operation_format(row).has_value();
  }
  return false;
}

}  // namespace halftone::nn
