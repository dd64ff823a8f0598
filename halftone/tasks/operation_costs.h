// What the operations of a task's network take in each format, within real training steps.
#pragma once

#include <vector>

#include "halftone/metrics/latency.h"
#include "halftone/numerics/precision_advice.h"
#include "halftone/tasks/precision_trial.h"

namespace halftone::tasks {

struct TimedOperations {
  std::vector<numerics::OperationCosts> costs;  // without errors
  Session fp32;                                 // as it has trained meanwhile
  double fp32_step_ms = 0;                      // median
};

// Trains in fp32 and in each half format on the batches, in turns, with every operation watched.
// The first kUncountedTurns turns are not counted. Throws Error where fp32's loss is not finite.
TimedOperations time_operations(const RunConfig& config, const TaskData& data,
                                const std::vector<Format>& half,
                                const std::vector<data::Batch>& batches);

// The network's operations, as a step on a few examples shows them.
std::vector<numerics::LoweredOperation> operations_of_small_step(PrecisionTrial& trial,
                                                                 const RunConfig& config,
                                                                 const TaskData& data);

// fp32's time over the other's, turn by turn.
numerics::Speedup speedup_of(const metrics::Latency& fp32, const metrics::Latency& other);

}  // namespace halftone::tasks
