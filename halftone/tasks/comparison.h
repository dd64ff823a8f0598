// The result of training two arms side by side.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "halftone/metrics/latency.h"
#include "halftone/numerics/lockstep.h"
#include "halftone/precision/format.h"
#include "halftone/report/line_chart.h"
#include "halftone/tasks/run_config.h"
#include "halftone/train/callback.h"

namespace halftone::tasks {

// Peaks of a training of a few steps that had a process of its own.
struct MemoryPeaks {
  std::int64_t tensor_bytes = 0;  // live CPU tensors without the data set
  std::int64_t rss_bytes = 0;     // of the whole process
};

struct ArmResult {
  std::string name;  // of the policy
  Format format = Format::fp32;
  metrics::Latency step_ms;  // without the first steps, which set LibTorch's kernels up
  report::Series loss;       // over steps
  metrics::MetricKind metric = metrics::accuracy_kind();  // the task's own, which is compared
  std::vector<Evaluation> evaluations;
  std::int64_t skipped_steps = 0;
  double final_scale = 1;
  std::optional<MemoryPeaks> memory;  // empty: not measured

  // At the median step: others' load on the machine does not count. 0 where no step was timed.
  double samples_per_s(std::int64_t batch) const;
  // Of `metric`; 0 where there was no evaluation.
  double final_metric() const;
  double best_metric() const;
  double mean_metric(std::size_t last) const;  // over the last evaluations
};

struct Comparison {
  RunConfig config;    // with the mixed arm's policy
  std::string choice;  // what --precision auto found; empty where it was not asked for
  ArmResult fp32, mixed;
  bool own_batches = false;  // each arm played for its own; false: both saw the same
  std::int64_t steps = 0;
  double training_seconds = 0;  // of both arms' steps and evaluations
  bool complete = false;        // trained to the end
  // The fp32 arm's trained weights under both policies; empty: not asked for.
  std::optional<numerics::LockstepReport> lockstep;
  int signal = 0;       // SIGINT or SIGTERM: ended the training or the memory pass early
  std::string unsaved;  // why reports, checkpoints or weights could not be written

  // fp32's median step time over the mixed arm's: above 1 the mixed arm is faster. Empty where a
  // step of either was not timed.
  std::optional<double> speedup() const;
  // The mixed arm's over fp32's peak of tensor bytes: below 1 the mixed arm needs less. Empty where
  // either was not measured.
  std::optional<double> memory_ratio() const;
};

}  // namespace halftone::tasks
