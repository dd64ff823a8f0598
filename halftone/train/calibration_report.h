// What a calibration found: how far the training formats are from the reference.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/base/json.h"
#include "halftone/metrics/metric.h"
#include "halftone/precision/policy.h"
#include "halftone/train/precision_switch.h"

namespace halftone {

// The same held-out batches in the training formats and in the reference format.
struct FormatGap {
  double loss = 0, reference_loss = 0;
  std::optional<metrics::MetricValue> metric;  // the first one; empty: there is none
  double reference_metric = 0;

  // |loss - reference_loss| / |reference_loss|; infinity where the training formats' alone is not
  // finite, NaN where the reference's is not.
  HALFTONE_API double loss_gap() const;
  HALFTONE_API double metric_gap() const;  // the difference's magnitude; 0 without a metric

  // The larger gap of those that are looked at, each in units of its bound.
  HALFTONE_API double over_bound(const CalibrationPolicy& rule) const;
  // "the loss is 5 % off fp32's (bound 1 %), accuracy 1.20 points (bound 0.50)".
  HALFTONE_API std::string text(const CalibrationPolicy& rule) const;
};

struct CalibrationReport {
  std::int64_t step = 0;  // after which it was made
  FormatGap found, left;  // before and after its moves
  std::vector<PrecisionSwitch> moves;
  std::int64_t raised = 0;  // operations that are up a format after it
  std::string note;         // why nothing moved though the gap is too large; "" otherwise
  double seconds = 0;

  // The line of a run's log: {"type": "calibration", "step", "loss", "reference_loss", …}.
  HALFTONE_API Json to_json() const;
};

}  // namespace halftone
