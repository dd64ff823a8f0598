// Which operations are in fp32 for a while because they overflow: DynamicPolicy as a state machine.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/ops/state_dict.h"
#include "halftone/precision/policy.h"
#include "halftone/train/moved_formats.h"
#include "halftone/train/precision_switch.h"

namespace halftone {

// An overflow that a replay has attributed.
struct OperationOverflow {
  std::int64_t step = 0;
  bool backward = false;
  double loss_scale = 1;
  // What going to fp32 may help, the likeliest first: the operation itself; the one before it, in
  // whose format its input is kept and the gradient that flows back to it.
  std::vector<RuleTarget> targets;
};

// low -> (overflows within DynamicPolicy::within steps) -> fp32 -> (retry steps) -> low, on
// probation for as long -> its first overflow: fp32 for twice as long; none: low as at first. Not
// thread-safe.
class HALFTONE_API DynamicPrecision {
 public:
  explicit DynamicPrecision(Policy base) : base_(std::move(base)) {}
  // What the policy without this one's moves has become. Its [dynamic] stays.
  void set_base(Policy base) { base_ = std::move(base); }

  // The first target that is in fp16 may go to fp32. Empty where it is only counted, or not even
  // that (a gradient's overflow above DynamicPolicy::scale_floor).
  std::optional<PrecisionSwitch> overflowed(const OperationOverflow& overflow);
  // Whether an overflow of a gradient would count: what is not worth running the step again.
  bool asks(std::int64_t step, double loss_scale) const;
  // Whether some target is in fp16, so that its going to fp32 can help.
  bool can_help(const OperationOverflow& overflow) const;
  // At the end of each step: what is tried again.
  std::vector<PrecisionSwitch> stepped(std::int64_t step);

  // What is in fp32 now.
  MovedFormats moved() const;

  StateDict state_dict() const;
  // Throws Error for what state_dict() does not write; then nothing has changed.
  void load_state_dict(const StateDict& state);

 private:
  struct Record {
    std::vector<std::int64_t> overflows;  // steps, while it is in its own format
    std::int64_t raised = -1;             // the step; -1: it is in its own format
    std::int64_t wait = 0;                // steps in fp32, of the last time
    std::int64_t probation = 0;           // until that step; 0: none
  };
  const RuleTarget* first_low(const OperationOverflow& overflow) const;
  bool is_low(const RuleTarget& target) const;

  Policy base_;
  std::map<RuleTarget, Record> records_;
};

}  // namespace halftone
