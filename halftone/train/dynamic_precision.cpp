#include "halftone/train/dynamic_precision.h"

#include <algorithm>
#include <utility>

#include "halftone/base/text.h"
#include "halftone/ops/state_reader.h"

namespace halftone {
namespace {

constexpr std::int64_t kLongestWait = 1'000'000'000;  // steps: never, and doubling it fits

}  // namespace

bool DynamicPrecision::is_low(const RuleTarget& target) const {
  const auto rule =
      target.operation ? base_.operation_format(target.match) : base_.module_format(target.match);
  if (rule.value_or(base_.compute) != Format::fp16) return false;
  const auto known = records_.find(target);
  return known == records_.end() || known->second.raised < 0;
}

const RuleTarget* DynamicPrecision::first_low(const OperationOverflow& overflow) const {
  const auto found = std::find_if(overflow.targets.begin(), overflow.targets.end(),
                                  [this](const RuleTarget& each) { return is_low(each); });
  return found == overflow.targets.end() ? nullptr : &*found;
}

bool DynamicPrecision::asks(std::int64_t step, double loss_scale) const {
  return loss_scale <= base_.dynamic.scale_floor ||
         std::any_of(records_.begin(), records_.end(),
                     [=](const auto& each) { return each.second.probation >= step; });
}

bool DynamicPrecision::can_help(const OperationOverflow& overflow) const {
  return first_low(overflow) != nullptr;
}

std::optional<PrecisionSwitch> DynamicPrecision::overflowed(const OperationOverflow& overflow) {
  const DynamicPolicy& rule = base_.dynamic;
  const RuleTarget* target = first_low(overflow);
  if (!target || rule.overflows == 0) return std::nullopt;
  const bool on_probation =
      records_.contains(*target) && records_[*target].probation >= overflow.step;
  if (!on_probation && overflow.backward && overflow.loss_scale > rule.scale_floor) {
    return std::nullopt;
  }
  Record& record = records_[*target];
  const std::string where = overflow.backward ? " in the backward pass" : " in the forward pass";
  std::string reason = "overflowed" + where + " when it was tried again";
  if (on_probation) {
    record.wait = std::min(2 * record.wait, kLongestWait);
  } else {
    std::erase_if(record.overflows,
                  [&](std::int64_t step) { return step <= overflow.step - rule.within; });
    record.overflows.push_back(overflow.step);
    const auto count = static_cast<std::int64_t>(record.overflows.size());
    if (count < rule.overflows) return std::nullopt;
    record.wait = rule.retry;
    reason = "overflowed " + std::to_string(count) + " times in " + std::to_string(rule.within) +
             " steps," + where;
  }
  record.raised = overflow.step;
  record.probation = 0;
  record.overflows.clear();
  if (overflow.backward) reason += ", at loss scale " + format_number(overflow.loss_scale);
  return PrecisionSwitch{overflow.step, target->match, "fp16", "fp32",
                         reason + "; fp32 for " + std::to_string(record.wait) + " steps"};
}

std::vector<PrecisionSwitch> DynamicPrecision::stepped(std::int64_t step) {
  std::vector<PrecisionSwitch> switches;
  for (auto& [target, record] : records_) {
    if (record.raised >= 0 && step - record.raised >= record.wait) {
      record.raised = -1;
      record.probation = step + record.wait;
      switches.push_back({step, target.match, "fp32", "fp16",
                          "tried again after " + std::to_string(record.wait) + " steps in fp32"});
    } else if (record.probation > 0 && step > record.probation) {
      record.probation = record.wait = 0;
    }
  }
  std::erase_if(records_, [](const auto& each) {
    const Record& record = each.second;
    return record.raised < 0 && record.probation == 0 && record.overflows.empty();
  });
  return switches;
}

MovedFormats DynamicPrecision::moved() const {
  MovedFormats moved;
  for (const auto& [target, record] : records_) {
    if (record.raised >= 0) moved.emplace(target, Format::fp32);
  }
  return moved;
}

StateDict DynamicPrecision::state_dict() const {
  return write_targets(records_, [](StateDict& one, const Record& record) {
    one.insert("overflows", std::vector<double>(record.overflows.begin(), record.overflows.end()));
    one.insert("raised", record.raised);
    one.insert("wait", record.wait);
    one.insert("probation", record.probation);
  });
}

void DynamicPrecision::load_state_dict(const StateDict& state) {
  std::map<RuleTarget, Record> records;
  read_targets(state, "dynamic", [&](const RuleTarget& target, StateReader& reader) {
    Record& record = records[target];
    for (const double step : reader.numbers("overflows")) {
      record.overflows.push_back(static_cast<std::int64_t>(step));
    }
    record.raised = reader.integer("raised");
    record.wait = reader.integer("wait");
    record.probation = reader.integer("probation");
  });
  records_ = std::move(records);
}

}  // namespace halftone
