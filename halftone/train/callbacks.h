// The callbacks that Halftone brings: progress bar, metrics.jsonl, TensorBoard.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <ostream>

#include "halftone/base/file.h"
#include "halftone/train/callback.h"
#include "halftone/train/tensorboard.h"

namespace halftone {

struct ProgressOptions {
  bool terminal = false;  // one line that is redrawn; else a plain line every `seconds`
  double seconds = 5;
  int width = 80;  // of the terminal, in columns
};

// Step of all, loss, samples/s, loss scale and time to go, as a bar or as plain lines; faults in
// full.
class HALFTONE_API ProgressBar : public Callback {
 public:
  // out: must outlive the bar.
  explicit ProgressBar(std::ostream& out, ProgressOptions options = {});
  ~ProgressBar() override;
  void on_start(const RunInfo& run) override;
  void on_step(const StepInfo& step) override;
  void on_fault(const numerics::FaultReport& fault) override;
  void on_calibration(const CalibrationReport& calibration) override;
  void on_switch(const PrecisionSwitch& change) override;
  void on_evaluation(const Evaluation& evaluation) override;
  void on_end(const TrainResult& result) override;

 private:
  using Clock = std::chrono::steady_clock;
  void draw(const StepInfo& step, Clock::time_point now);
  void end_bar();

  std::ostream& out_;
  ProgressOptions options_;
  RunInfo run_;
  Clock::time_point started_{}, drawn_{};
  std::int64_t samples_ = 0;
  double evaluating_ = 0;  // seconds, of calibrations too, not counted in samples/s
  bool bar_open_ = false;
};

// One JSON object per line: {"type": "step", "step": …, "loss": …}, {"type": "evaluation", …},
// {"type": "fault", …}, {"type": "calibration", …} and {"type": "switch", "step", "name", "from",
// "to", "reason"}.
// Each line reaches the file before the call returns.
class HALFTONE_API JsonlLog : public Callback {
 public:
  explicit JsonlLog(std::filesystem::path path) : path_(std::move(path)) {}
  // A run from the start empties the file; one that resumes drops the lines after its first step.
  void on_start(const RunInfo& run) override;
  void on_step(const StepInfo& step) override;
  void on_fault(const numerics::FaultReport& fault) override;
  void on_calibration(const CalibrationReport& calibration) override;
  void on_switch(const PrecisionSwitch& change) override;
  void on_evaluation(const Evaluation& evaluation) override;

 private:
  std::filesystem::path path_;
  std::unique_ptr<AppendFile> file_;
};

// What NumericsMonitor sampled, one numerics::RangeReport as JSON per line. Each line reaches the
// file before the call returns. `halftone inspect` reads it.
class HALFTONE_API RangeLog : public Callback {
 public:
  explicit RangeLog(std::filesystem::path path) : path_(std::move(path)) {}
  // As JsonlLog.
  void on_start(const RunInfo& run) override;
  void on_ranges(const numerics::RangeReport& ranges) override;

 private:
  std::filesystem::path path_;
  std::unique_ptr<AppendFile> file_;
};

// Writes scalars as a TensorBoard event file in `directory`: train/loss, train/lr, train/scale,
// train/skipped, time/step_ms, time/wait_ms, eval/loss and eval/NAME of each metric; and of sampled
// ranges the histograms of log2 of the magnitudes, ranges/KIND/NAME.
class HALFTONE_API TensorBoardLog : public Callback {
 public:
  explicit TensorBoardLog(std::filesystem::path directory) : directory_(std::move(directory)) {}
  // A new file each time; a run that resumes tells TensorBoard to drop the steps after its first.
  void on_start(const RunInfo& run) override;
  void on_step(const StepInfo& step) override;
  void on_ranges(const numerics::RangeReport& ranges) override;
  // calibration/loss_gap, calibration/metric_gap (what was found) and calibration/raised.
  void on_calibration(const CalibrationReport& calibration) override;
  // precision/NAME: the bits of the format, when it changes.
  void on_switch(const PrecisionSwitch& change) override;
  void on_evaluation(const Evaluation& evaluation) override;

 private:
  std::filesystem::path directory_;
  std::unique_ptr<EventWriter> events_;
};

}  // namespace halftone
