// --precision auto: the candidates are measured for a few steps on the task itself.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "halftone/tasks/run_config.h"
#include "halftone/tasks/task.h"

namespace halftone::tasks {

struct Candidate {
  std::string name;      // of the preset
  double step_ms = 0;    // median; an estimate from one small step where `measured` is false
  bool finite = true;    // loss and, in the end, gradients
  bool measured = true;  // false: the small step showed it far too slow
};

struct PrecisionChoice {
  Policy policy;
  std::vector<Candidate> candidates;  // fp32 is the first
  std::string reason;                 // one sentence for a person
};

// Trains fp32 and each half candidate ("bf16", "fp16") for a few interleaved steps from the same
// weights on the same batches, and takes the fastest that stays finite. mixed_only: fp32 is only
// measured beside them, for `compare`. config.policy is not looked at. begin: called before the
// first step, once `config` is known to fit the data; may be null. Throws UsageError where it does
// not.
PrecisionChoice choose_precision(const RunConfig& config, const TaskData& data, bool mixed_only,
                                 const std::function<void()>& begin = nullptr);

// The rule by which the measured candidates are chosen from; candidates[0] is fp32.
PrecisionChoice choose_from(std::vector<Candidate> candidates, bool mixed_only);

}  // namespace halftone::tasks
