// `halftone compare`: fp32 and a mixed arm from the same weights, on the same batches unless they
// depend on the network (TaskData::plays()).
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
  // Gets the reports; each arm gets a directory of its own there, as a run of `train`: fp32/ and
  // arm_directory().
  std::filesystem::path out;
  bool overwrite = false;             // `out` may hold other runs, which then go
  std::int64_t lockstep_batches = 0;  // that both policies run at the end, operation by operation
  std::string choice{};               // what --precision auto found, for the reports
  std::function<void(const CompareProgress&)> progress{};
  // Peaks of the arm whose run is in the directory; null: they are not measured.
  std::function<MemoryPeaks(const std::filesystem::path& arm)> measure_memory{};
};

// The name of the mixed arm's directory: that of its policy with everything but letters, digits,
// '_' and '-' as '_', and never that of the fp32 arm or of a run's checkpoints.
std::string arm_directory(const std::string& policy_name);

// config.policy: the mixed arm's. Steps are interleaved, the arms take turns at going first, so
// that the machine's noise falls on both; LibTorch's generators are set alike before each step.
// Both arms are evaluated six times, equally apart, the last time at the end. On SIGINT or
// SIGTERM it finishes the pair, writes each arm's checkpoint and returns with `signal` set.
//
// Once trained, lockstep_batches are run with the fp32 arm's weights (lockstep_run.h). Then the
// reports are written, then checkpoints and weights, and the reports again where memory was
// measured, so that a full disk, or a memory pass that fails or is interrupted, loses no more than
// itself; the first that could not be written is in `unsaved`.
//
// Throws UsageError before anything is written where `out` or an arm's directory holds a run and
// overwrite is not set, and Error as Trainer::step() does, with the arm's name.
Comparison compare(const RunConfig& config, const TaskData& data, const CompareOptions& options);

}  // namespace halftone::tasks
