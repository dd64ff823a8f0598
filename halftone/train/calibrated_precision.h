// Which operations are up a format because the training formats drift from the reference:
// CalibrationPolicy as a state machine.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/numerics/precision_probe.h"
#include "halftone/ops/state_dict.h"
#include "halftone/precision/policy.h"
#include "halftone/train/calibration_report.h"
#include "halftone/train/moved_formats.h"
#include "halftone/train/precision_switch.h"

namespace halftone {

// An operation that can go up a format.
struct RaisableOperation {
  RuleTarget target;
  std::string from;  // as PrecisionSwitch has it
  Format to = Format::fp32;
  numerics::PrecisionError error;  // of the network where it alone is in its format
};

// What a calibration measures.
class GapSource {
 public:
  virtual ~GapSource() = default;
  virtual FormatGap gap(const Policy& policy) = 0;
  // Of the network under `policy`; errors are not measured yet.
  virtual std::vector<RaisableOperation> raisable(const Policy& policy) = 0;
  virtual void measure(const Policy& policy, std::vector<RaisableOperation>& operations) = 0;
};

// low -> (the gap is above its bound, and this operation contributes most) -> up a format ->
// (`patience` small gaps in a row, and the gap is small without it, too) -> low, on probation for
// as many calibrations -> up again: for twice as many. Not thread-safe.
class HALFTONE_API CalibratedPrecision {
 public:
  // base.calibrate must be there.
  explicit CalibratedPrecision(Policy base) : base_(std::move(base)) {}
  // What the policy without this one's moves has become. Its [calibrate] stays.
  void set_base(Policy base) { base_ = std::move(base); }

  bool due(std::int64_t step) const { return step % base_.calibrate->every == 0; }
  CalibrationReport calibrate(std::int64_t step, GapSource& source);

  // What is up now.
  MovedFormats moved() const;

  StateDict state_dict() const;
  // Throws Error for what state_dict() does not write; then nothing has changed.
  void load_state_dict(const StateDict& state);

 private:
  struct Record {
    bool raised = false;
    Format to = Format::fp32;    // while it is raised
    std::string own;             // the format that it came from
    std::int64_t wait = 0;       // small gaps until it may come down
    std::int64_t calm = 0;       // small gaps in a row, while it is raised
    std::int64_t probation = 0;  // until that step, once it came down
  };
  Policy policy() const { return with_moved(base_, moved()); }
  void raise(GapSource& source, CalibrationReport& report);
  void raise_one(const RaisableOperation& operation, GapSource& source, CalibrationReport& report);
  void lower(GapSource& source, CalibrationReport& report);

  Policy base_;
  std::map<RuleTarget, Record> records_;
};

}  // namespace halftone
