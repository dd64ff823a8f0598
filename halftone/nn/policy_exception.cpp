#include "halftone/nn/policy_exception.h"

#include <unordered_map>

#include "halftone/precision/autocast_region.h"
#include "halftone/precision/cast_table.h"

namespace halftone::nn {

bool policy_names(std::string_view operation, const std::optional<at::Tensor>& weight) {
  const AutocastRegion* region = AutocastRegion::current();
  const CastPlan* plan = region ? region->plans[*autocast_device_index(c10::kCPU)].get() : nullptr;
  if (!plan) return false;
  if (plan->has_module_rules() && weight && plan->module_rule(*weight) >= 0) return true;
  static const auto kRows = [] {
    std::unordered_map<std::string_view, std::size_t> rows;
    const auto& table = cast_table();
    for (std::size_t i = 0; i < table.size(); ++i) rows.emplace(table[i].operation, i);
    return rows;
  }();
  const auto row = kRows.find(operation);
  return row != kRows.end() && plan->operation_format(row->second).has_value();
}

}  // namespace halftone::nn
