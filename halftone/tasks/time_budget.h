// A training that fits a given time: the epochs follow from a few measured steps.
#pragma once

#include <cstdint>

#include "halftone/tasks/run_config.h"
#include "halftone/tasks/task.h"

namespace halftone::tasks {

// How many epochs of fp32 and of config.policy side by side take about `seconds`, evaluations
// apart: at least 1. Takes a few steps of each in turns, about 20 s at most for each. config.epochs
// and config.steps are not looked at. Throws UsageError where `config` does not fit the data, Error
// where a loss is not finite.
std::int64_t epochs_within(double seconds, const RunConfig& config, const TaskData& data);

// The rule: steps of `pair_ms` milliseconds for both arms, `batches` of them in an epoch.
std::int64_t whole_epochs(double seconds, double pair_ms, std::int64_t batches);

}  // namespace halftone::tasks
