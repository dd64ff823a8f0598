// What a Trainer holds; its parts are in trainer.cpp (a step), trainer_run.cpp (the loop) and
// trainer_state.cpp (saving and restoring).
#pragma once

#include <torch/nn/module.h>
#include <torch/optim/optimizer.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "halftone/data/batch_source.h"
#include "halftone/numerics/fault_report.h"
#include "halftone/numerics/loss_trend.h"
#include "halftone/numerics/numerics_monitor.h"
#include "halftone/optim/ema.h"
#include "halftone/optim/lookahead.h"
#include "halftone/optim/scheduler.h"
#include "halftone/scaling/grad_scaler.h"
#include "halftone/train/calibrated_precision.h"
#include "halftone/train/calibration_report.h"
#include "halftone/train/checkpoint.h"
#include "halftone/train/dynamic_precision.h"
#include "halftone/train/safetensors.h"
#include "halftone/train/step_replay.h"
#include "halftone/train/trainer.h"

namespace halftone {

struct Trainer::Impl {
  Impl(TrainerParts given_parts, TrainerOptions given_options);

  // trainer.cpp
  // A forward and backward on one of `group` micro-batches; the last one steps the optimizer.
  StepInfo step(const data::Batch& batch, std::int64_t group);
  // Forward and backward of a phase -> its loss.
  double differentiate(const data::Batch& batch, std::int64_t phase, std::int64_t group);
  // The phase's optimizer; counts into info what it did.
  void update(std::int64_t phase, StepInfo& info);
  void end_phase();
  // All phases have been updated.
  void finish_step(const StepInfo& info);
  TrainerPhase at_phase(std::int64_t phase) const;
  static double loss_value(const at::Tensor& loss);
  // Of a loss that is not finite: throws, unless the policy's [dynamic] may help, and the step is
  // `lost`.
  void lose_step(double value, const data::Batch& batch);
  // After phases of a step that ends early were updated.
  void forget_updates();
  // Ends a step that is lost.
  void skip(StepInfo& info);
  std::optional<Evaluation> evaluate(const std::function<bool()>& stop);
  double lr() const;
  // Runs the step that `symptom` was seen in again.
  numerics::FaultReport replayed(const std::string& symptom, StepReplay::Until until);
  // Keeps it as the last fault, to be told.
  void keep(const numerics::FaultReport& report);
  bool explains_skip() const;
  // Watches for the monitor where the step that begins is to be sampled.
  void begin_sample(std::int64_t phase, std::optional<numerics::OperationWatch>& watch);

  // trainer_dynamic.cpp
  // Whether the policy's [dynamic] may help: an operation in fp16 overflowed.
  bool adjust_to(const numerics::FaultReport& report);
  void try_again();

  // trainer_calibration.cpp
  void check_calibration() const;
  // At the end of a step; batch: its last.
  void calibrate_if_due(const data::Batch& batch);
  // The policy in force, after what `dynamic` and `calibrated` have moved.
  void follow_moves();

  // trainer_run.cpp
  TrainResult run();
  RunInfo start();
  StepInfo step_from_loader();
  // Tells the objective, once, which epoch comes.
  void begin_epoch(std::int64_t epoch);
  void evaluate_in_run();
  std::int64_t epoch_of_last_step() const;
  void write_checkpoint();
  void tell_of_step();
  bool finished() const;
  std::int64_t steps_per_epoch() const;
  std::int64_t total_steps() const;
  template <class Call>
  void tell(Call call) {
    for (const auto& callback : callbacks) call(*callback);
  }

  // trainer_state.cpp
  StateDict state_dict() const;
  void load(const StateDict& state, const std::string& where);
  // The fp32 master of a half parameter if the optimizer keeps one, else the parameter.
  at::Tensor master(const at::Tensor& parameter) const;
  // Fp32 masters and buffers.
  NamedTensors master_weights() const;
  // As exported: averages if there are some, else master_weights().
  NamedTensors full_weights() const;

  TrainerParts parts;
  TrainerOptions options;
  c10::Device device;  // of the module
  GradScaler scaler;
  std::unique_ptr<optim::Ema> ema;              // null: no average
  std::unique_ptr<optim::Lookahead> lookahead;  // null: none
  std::optional<CheckpointStore> store;
  std::vector<std::shared_ptr<Callback>> callbacks;

  std::int64_t phases;  // of a step
  std::int64_t steps = 0, skipped = 0;
  std::int64_t epochs = 0;        // completed
  std::int64_t epoch_begun = -1;  // that the objective knows of
  std::int64_t since_better = 0;  // evaluations
  Evaluation last, best;
  bool evaluation_due = false, checkpoint_due = false;
  bool resumed = false;

  Policy given_policy;                            // parts.policy before anything was moved
  std::optional<DynamicPrecision> dynamic;        // empty: overflows change no format
  std::optional<CalibratedPrecision> calibrated;  // empty: nothing is calibrated
  std::optional<CalibrationReport> calibration;   // the last one
  bool calibration_untold = false;
  std::vector<PrecisionSwitch> switches;  // of this process
  std::size_t switches_told = 0;
  std::optional<StepReplay> replay;  // empty: nothing is explained
  numerics::LossTrend trend;
  std::optional<numerics::FaultReport> fault;  // the last one
  bool fault_untold = false;
  std::shared_ptr<numerics::NumericsMonitor> monitor;  // null: nothing is sampled
  std::optional<numerics::RangeReport> ranges;         // the last ones
  bool ranges_untold = false;

  // The step that micro-batches are gathered for.
  std::int64_t micro = 0, micro_samples = 0;
  double micro_loss = 0, micro_ms = 0;
  bool lost = false;  // a forward pass of it overflowed: it is skipped
};

}  // namespace halftone
