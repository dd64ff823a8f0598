// The loss scale as a number with a rule: how it grows and falls. No tensors, no optimizers.
#pragma once

#include <cstdint>

#include "halftone/ops/state_dict.h"
#include "halftone/precision/policy.h"

namespace halftone {

class StateReader;

// Kept in fp32, like torch.amp.GradScaler's: products in double, rounded once. With a hysteresis of
// 1 and a range that is never reached, the sequence of scales is that of torch.amp.GradScaler.
class LossScale {
 public:
  // Throws UsageError that names the number of the policy that makes no sense.
  explicit LossScale(const LossScalePolicy& policy);

  // 1 where nothing is scaled.
  double value() const { return value_; }
  LossScaling kind() const { return policy_.kind; }
  bool at_floor() const { return value_ <= policy_.min; }

  // Once per iteration. overflow: some gradient was not finite. Does nothing unless dynamic.
  void update(bool overflow);

  // The five keys of torch.amp.GradScaler and Halftone's own. Python ignores the latter; they may
  // be absent when loading. A scale that does not move is written with both factors 1, so that
  // Python's scaler holds it, too.
  void save(StateDict& state) const;

  // A scale of the same kind with the numbers and counters of the state. Throws Error that names
  // the key. A scale outside [min, max] is moved into it with a warning (Python's has no floor).
  LossScale loaded(StateReader& state) const;

 private:
  void grow();
  void fall();

  LossScalePolicy policy_;
  float value_;
  std::int64_t growth_tracker_ = 0;  // finite iterations in a row
  std::int64_t overflows_left_;      // until the scale falls; growth sets it to the hysteresis
};

}  // namespace halftone
