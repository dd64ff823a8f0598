// Trainer: epochs over a loader, evaluation, checkpoints, exact resume.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/ops/state_dict.h"
#include "halftone/optim/lookahead.h"
#include "halftone/precision/policy.h"
#include "halftone/train/callback.h"
#include "halftone/train/precision_switch.h"

namespace torch::nn {
class Module;
}
namespace torch::optim {
class Optimizer;
}

namespace halftone {

class Objective;
namespace data {
class BatchSource;
struct Batch;
}  // namespace data
namespace optim {
class Scheduler;
}

// When a step whose gradients or loss are not finite is run again, with every operation watched
// (numerics/fault_finder.h), to name the first one that went bad. The replay takes the same
// micro-batches, generator states, weights and buffers, and leaves all of them, gradients and
// scaler as they were: training goes on bit for bit as without it. It costs up to some 20 steps.
enum class ExplainOverflow {
  never,
  repeated,  // a loss; gradients, once in a row of skipped steps: where nothing is scaled or the
             // scale is fixed at the first, else at the first that the policy's hysteresis, after
             // which a dynamic scale falls, does not expect
  always,    // every time
};

struct TrainerOptions {
  std::int64_t epochs = 1;
  std::int64_t max_steps = 0;           // optimizer steps; 0: no limit but `epochs`
  std::int64_t accumulate = 1;          // micro-batches (batches of the loader) per optimizer step
  std::int64_t eval_every_steps = 0;    // 0: at the end of each epoch
  std::int64_t checkpoint_every = 0;    // steps; 0: at the end of each epoch
  std::int64_t keep_last = 3;           // checkpoints, beside the best
  double ema_decay = 0;                 // 0: no average; else evaluation and export use the average
  optim::LookaheadOptions lookahead{};  // every 0: none
  std::int64_t early_stop_patience = 0;  // evaluations without a better one; 0: never
  // Needs forward and loss to be functions of their arguments, the module, and LibTorch's
  // generators; batches must not be written to before their step is complete.
  ExplainOverflow explain_overflow = ExplainOverflow::repeated;
  std::int64_t monitor_every = 0;  // steps between samples of numerics::NumericsMonitor; 0: none
  std::uint64_t seed = 0;          // of LibTorch's generators, set by the constructor
  std::filesystem::path out{};     // holds checkpoints/; empty: none are written
  bool overwrite = false;          // a run from the start may delete the checkpoints of one before
  bool handle_signals = true;      // run() ends after the step on SIGINT and SIGTERM
  bool caching_allocator = true;   // the constructor puts it in, for the whole process
};

// What a phase of Objective::phases() updates with.
struct TrainerPhase {
  std::shared_ptr<torch::optim::Optimizer> optimizer;
  std::shared_ptr<optim::Scheduler> scheduler;  // may be null
};

// The module must be on its device before the trainer is made. What is trained for is either an
// Objective or, for one output and one target, the functions forward, loss and metric.
struct TrainerParts {
  std::shared_ptr<torch::nn::Module> module;
  std::shared_ptr<Objective> objective;  // null: made of forward, loss and metric
  // input (N,…) -> output; null: module must be a models::Network.
  std::function<at::Tensor(const at::Tensor& input)> forward;
  // -> the mean over the batch, a scalar.
  std::function<at::Tensor(const at::Tensor& output, const at::Tensor& target)> loss;
  // -> the share of the batch that is right, 0 to 1, a scalar. Null: top-1 accuracy where target is
  // (N) int64 and output (N, classes), else none.
  std::function<at::Tensor(const at::Tensor& output, const at::Tensor& target)> metric;
  std::shared_ptr<torch::optim::Optimizer> optimizer;
  std::shared_ptr<optim::Scheduler> scheduler;  // may be null
  std::vector<TrainerPhase> later_phases;       // of the objective's phases after the first
  Policy policy;                                // already applied to the module
  std::shared_ptr<data::BatchSource> train;     // may be null where only step() is called
  // May be null, but not where the policy calibrates: on its first batches.
  std::shared_ptr<data::BatchSource> evaluation;
};

// A training step is design's one sentence: the forward under Autocast, the loss scaled, backward,
// the gradients read once, the optimizer in one pass, the scaler moves, the scheduler moves if the
// step was applied. With several phases each goes that way, under one scaler, which moves once at
// the end; a gradient that is not finite skips its own phase's update alone, as with Python's
// torch.amp; StepInfo's loss is the sum, its grad_norm that of all. Not thread-safe; one Trainer
// trains on the thread that calls it.
class HALFTONE_API Trainer {
 public:
  // Throws UsageError for options that make no sense and Error for parts that are missing.
  Trainer(TrainerParts parts, TrainerOptions options);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  void add_callback(std::shared_ptr<Callback> callback);

  // Trains on one batch. With accumulate > 1 every accumulate-th call steps the optimizer, the
  // others return with complete == false. Calls no callback. Throws Error with the step, the first
  // indices of the batch, the learning rate and what a replay found where the loss is not finite;
  // weights, optimizer and scaler are then as before the call, but for the updates of the step's
  // phases before the one whose loss it is: these stay. Where the policy's [dynamic] can help (an
  // operation in fp16 overflowed) the step is skipped instead, from that phase on.
  StepInfo step(const data::Batch& batch);
  // The same for one optimizer step over all of `group`, whatever `accumulate` is: an epoch's last
  // may be of fewer. Only between steps; throws UsageError for none.
  StepInfo step(std::span<const data::Batch> group);

  // One pass over parts.evaluation in the policy's evaluation format, with the averaged weights if
  // there is an average. Changes neither weights nor training mode. Calls no callback.
  Evaluation evaluate();

  // Trains to the end of options.epochs or max_steps, from where it stands. Writes checkpoints and
  // calls the callbacks. On SIGINT or SIGTERM it finishes the step, writes a checkpoint and returns
  // with `signal` set; a second one ends the process at once.
  TrainResult run();

  // Loads the newest whole checkpoint of options.out; false where there is none. One that is torn
  // is passed over with a warning. Throws Error where it belongs to another model (the first three
  // names and shapes that differ) or where there are some and none is whole.
  bool resume();

  // Weights, optimizer, scaler, scheduler, average, loader, generators and counters. Only between
  // optimizer steps (throws Error amid accumulation).
  StateDict state_dict() const;
  void load_state_dict(const StateDict& state);

  // Weights for use elsewhere, in the policy's save format, as safetensors: the average if there is
  // one, else fp32 masters where there are some. Names as named_parameters and named_buffers.
  void save_weights(const std::filesystem::path& path) const;

  std::int64_t steps() const;
  std::int64_t skipped_steps() const;
  double loss_scale() const;

  // Of the last step that was explained (TrainerOptions::explain_overflow); null: none was.
  const numerics::FaultReport* last_fault() const;
  // What the policy's [dynamic] and [calibrate] have moved in this process, in order.
  const std::vector<PrecisionSwitch>& precision_switches() const;
  // By the policy's [calibrate]; null: there was none yet.
  const CalibrationReport* last_calibration() const;
  // Of the last step that was sampled (TrainerOptions::monitor_every); null: none was.
  const numerics::RangeReport* last_ranges() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace halftone
