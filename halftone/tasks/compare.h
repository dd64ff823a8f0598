// `halftone compare`: fp32 and a mixed arm from the same weights on the same batches.
#pragma once

#include <filesystem>
#include <functional>

#include "halftone/tasks/comparison.h"
#include "halftone/tasks/task.h"

namespace halftone::tasks {

// What is told after each pair of steps and each pair of evaluations.
struct CompareProgress {
  std::int64_t step = 0, total_steps = 0;
  const ArmResult* fp32 = nullptr;
  const ArmResult* mixed = nullptr;
  bool evaluated = false;  // both arms have a new evaluation
  double seconds = 0;      // since the first step
};

struct CompareOptions {
  std::filesystem::path out;  // each arm gets a directory of its own there, as a run of `train`
  std::function<void(const CompareProgress&)> progress{};
  // Peaks of the arm whose run is in the directory; null: they stay 0.
  std::function<MemoryPeaks(const std::filesystem::path& arm)> measure_memory{};
};

// config.policy: the mixed arm's. Steps are interleaved, the arms take turns at going first, so
// that the machine's noise falls on both; LibTorch's generators are set alike before each step.
// Both arms are evaluated six times, equally apart, the last time at the end. On SIGINT or
// SIGTERM it finishes the pair, writes each arm's checkpoint and returns with `signal` set. Throws
// Error as Trainer::step() does, with the arm's name.
Comparison compare(const RunConfig& config, const TaskData& data, const CompareOptions& options);

}  // namespace halftone::tasks
