// `halftone advise`: the policy for a task on this machine, from measurements of its own network.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "halftone/metrics/latency.h"
#include "halftone/numerics/machine.h"
#include "halftone/numerics/precision_advice.h"
#include "halftone/tasks/run_config.h"
#include "halftone/tasks/task.h"

namespace halftone::tasks {

struct AdviseOptions {
  // Of the gradient, relative to fp32's. Empty: half of what differs from batch to batch
  // (PrecisionProbe::batch_noise()), but at least 1 %. Rounding then adds a quarter to the variance
  // of the gradients at most, as if batches were a fifth smaller.
  std::optional<double> max_error{};
  std::int64_t batches = 2;  // that errors and noise are measured on; 2 or more
  std::vector<Format> formats{Format::bf16, Format::fp16};
  // Globs: parameters, modules or operations that stay in fp32.
  std::vector<std::string> keep{};
  std::function<void(const std::string&)> progress{};  // told what begins, a line each
};

// A policy as it was measured in whole steps.
struct AdviceArm {
  numerics::PrecisionAdvice advice;
  metrics::Latency step_ms{};
  numerics::Speedup speedup{};       // of the step, against fp32
  numerics::PrecisionError error{};  // of all its operations together
  double loss = 0;                   // mean of its steps
  bool finite = true;

  const std::string& name() const { return advice.policy.name; }
};

struct TaskAdvice {
  RunConfig config;  // with the policy that is advised
  numerics::Machine machine;
  double max_error = 0;    // the bound that was kept
  double batch_noise = 0;  // PrecisionProbe::batch_noise()
  std::vector<numerics::OperationCosts> costs;
  std::vector<std::string> hopeless;  // formats that a small step showed too slow to be measured
  std::vector<AdviceArm> arms;        // fp32 is the first
  std::size_t chosen = 0;             // of the arms
  std::string reason;                 // one sentence

  const AdviceArm& arm() const { return arms[chosen]; }
  // Other policies within the bound that are as fast within noise, or only a little faster.
  std::vector<std::string> rivals() const;
  // Whether the arms' steps took about the same time each: their quartiles lie no further
  // apart than half the median. Without other programs it is a tenth.
  bool steady() const;
  // Its operations whose time did not decide about their format.
  std::vector<std::string> in_noise() const;
};

// Watches and times a few training steps in each format, in turns; measures on batches of at most
// 32 examples, with the weights that fp32 has come to by then, what each operation costs in
// accuracy; chooses (numerics::choose_policy); and verifies: fp32, the uniform policies and the
// chosen one train a few steps in turns, and the most promising of them with its weights stored in
// half beside fp32 masters, too; the gradient's error is measured for each. Where the
// measured error is above the bound, the choice is made again under a tighter one. The fastest
// policy within the bound is advised; where another is not slower by more than noise, the simpler
// one: fp32, which half must beat by 3 %, then a uniform one, which others must beat by 5 %.
// config.policy is not looked at. Throws UsageError for options that make no sense, a batch that
// does not fit the data and a glob of `keep` that matches nothing.
TaskAdvice advise(const RunConfig& config, const TaskData& data, const AdviseOptions& options);

// The arm that is advised of those measured: the rule alone.
std::size_t choose_arm(const std::vector<AdviceArm>& arms, double max_error);

}  // namespace halftone::tasks
