// Policies that are tried for a few steps in turns, from the same weights on the same batches.
#pragma once

#include <torch/utils.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "halftone/metrics/latency.h"
#include "halftone/metrics/running_loss.h"
#include "halftone/tasks/session.h"

namespace halftone::tasks {

struct PrecisionTrial {
  std::string name;  // of the policy
  Session session;
  metrics::Latency step_ms{};        // in the order of the turns
  metrics::RunningLoss loss{};       // of its steps
  bool finite = true;                // no loss was not finite
  bool last_applied = true;          // nor were the last step's gradients
  double seconds = 0;                // of all its steps
  std::optional<double> hopeless{};  // ms of a step as a small one shows it: not worth measuring
};

// config.policy is not looked at.
PrecisionTrial make_trial(const Policy& policy, RunConfig config, const TaskData& data);

// One step, in ms; a loss that is not finite ends the trial, not the choice.
double run_step(PrecisionTrial& trial, const data::Batch& batch);

// A few examples, at most config.batch.
data::Batch small_batch(Learner& learner, RunConfig config, const TaskData& data);

// A small step of each: a format without hardware shows itself before it costs minutes. trials[0]
// is the one that others are compared with.
void probe(std::vector<PrecisionTrial>& trials, const RunConfig& config, const TaskData& data);

// The next batch of the epoch, or the first of the next one.
data::Batch next_batch(data::BatchSource& source);

constexpr std::size_t kUncountedTurns = 2;  // LibTorch sets its kernels up in the first

// step(trial, batch, counted) for every trial on every batch. Another trial begins each turn, and
// LibTorch's generators are set alike before each step.
template <class Trial, class Step>
void take_turns(std::vector<Trial>& trials, const std::vector<data::Batch>& batches,
                std::uint64_t seed, Step&& step) {
  for (std::size_t turn = 0; turn < batches.size(); ++turn) {
    for (std::size_t i = 0; i < trials.size(); ++i) {
      torch::manual_seed(seed + turn);
      step(trials[(i + turn) % trials.size()], batches[turn], turn >= kUncountedTurns);
    }
  }
}

// The medians of `turns` steps of every trial, after the uncounted ones. A trial that has taken
// `most_seconds` and has a time is left as it is, and so is one that is hopeless or not finite.
void time_steps(std::vector<PrecisionTrial>& trials, std::size_t turns, double most_seconds,
                std::uint64_t seed);

}  // namespace halftone::tasks
