// What a training run tells those who watch it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/metrics/metric.h"
#include "halftone/train/precision_switch.h"

namespace halftone {

namespace numerics {
struct FaultReport;
struct RangeReport;
}  // namespace numerics

struct CalibrationReport;

// Known when a run starts.
struct RunInfo {
  std::int64_t first_step = 0;       // steps done before this run: 0, or where it resumes
  std::int64_t total_steps = 0;      // at which the run ends
  std::int64_t steps_per_epoch = 0;  // optimizer steps
  std::int64_t epochs = 0;
  bool resumed = false;
  std::string policy;  // its name
};

// One optimizer step (of all micro-batches that it accumulates).
struct StepInfo {
  std::int64_t step = 0;   // counted from 1 over the whole training
  std::int64_t epoch = 0;  // counted from 0
  std::int64_t samples = 0;
  double loss = 0;  // unscaled, the mean over the micro-batches
  double lr = 0;    // of the first parameter group, as this step used it
  double scale = 1;
  double grad_norm = 0;  // unscaled, before clipping
  double step_ms = 0;    // forward, backward and update, without waiting for data
  double wait_ms = 0;    // waiting for the loader
  bool applied = false;  // false: skipped, a gradient was not finite
  std::string first_non_finite;
  bool complete = true;  // false: a micro-batch whose gradients wait for the rest of its step
};

// One pass over the evaluation data.
struct Evaluation {
  std::int64_t step = 0;
  std::int64_t epoch = 0;  // of the step before it, counted from 0 as StepInfo's
  std::int64_t samples = 0;
  double loss = 0;                            // mean per sample
  std::vector<metrics::MetricValue> metrics;  // the first one is the task's own; may be empty
  double seconds = 0;
  bool best = false;  // better than all before

  // What "best" compares, the first metric or else the loss; here higher is better.
  double score() const {
    if (metrics.empty()) return -loss;
    return metrics[0].kind.higher_is_better ? metrics[0].value : -metrics[0].value;
  }
  double metric(const std::string& name) const { return metrics::value_of(metrics, name); }
};

struct TrainResult {
  std::int64_t steps = 0;          // over the whole training
  std::int64_t epochs = 0;         // completed
  std::int64_t skipped_steps = 0;  // over the whole training
  double final_scale = 1;
  double seconds = 0;     // of this run, with evaluations
  Evaluation last, best;  // samples 0: there was none
  bool stopped_early = false;
  int signal = 0;  // SIGINT or SIGTERM ended the run; a checkpoint was written
  bool interrupted() const { return signal != 0; }
};

// All are called on the thread that trains; an exception ends the run.
class HALFTONE_API Callback {
 public:
  virtual ~Callback() = default;
  virtual void on_start(const RunInfo&) {}
  virtual void on_step(const StepInfo&) {}
  // A step that went bad was run again and explained (TrainerOptions::explain_overflow). Comes
  // before its on_step, or before the exception that a bad loss ends the run with.
  virtual void on_fault(const numerics::FaultReport&) {}
  // The formats were calibrated (Policy::calibrate). Comes before its on_switch and the step's
  // on_step.
  virtual void on_calibration(const CalibrationReport&) {}
  // An operation changed its format (Policy::dynamic, Policy::calibrate). Comes before the step's
  // on_step.
  virtual void on_switch(const PrecisionSwitch&) {}
  // A step's ranges were sampled (TrainerOptions::monitor_every). Comes before its on_step.
  virtual void on_ranges(const numerics::RangeReport&) {}
  virtual void on_evaluation(const Evaluation&) {}
  virtual void on_checkpoint(std::int64_t /*step*/, const std::filesystem::path&) {}
  virtual void on_end(const TrainResult&) {}
};

}  // namespace halftone
