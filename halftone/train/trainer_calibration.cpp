// What a Trainer does about formats that drift from the reference (CalibrationPolicy).
#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/train/objective.h"
#include "halftone/train/trainer_impl.h"
#include "halftone/train/training_gap.h"

namespace halftone {

void Trainer::Impl::check_calibration() const {
  const CalibrationPolicy& rule = *parts.policy.calibrate;
  const std::string where = "policy " + quote(parts.policy.name) + ", [calibrate]";
  if (!parts.evaluation || parts.evaluation->batches() == 0) {
    throw UsageError("no evaluation data", "held-out batches to calibrate on", where);
  }
  if (rule.metric_bound > 0 && parts.objective->metrics().empty()) {
    throw UsageError(
        "metric_bound = " + format_number(rule.metric_bound) + " and an objective without metrics",
        "loss_bound alone", where);
  }
}

void Trainer::Impl::calibrate_if_due(const data::Batch& batch) {
  if (!calibrated || !calibrated->due(steps)) return;
  TrainingGap source({parts, device, master_weights(), batch, scaler.loss_scale()});
  calibration = calibrated->calibrate(steps, source);
  calibration_untold = true;
  if (calibration->moves.empty()) return;
  switches.insert(switches.end(), calibration->moves.begin(), calibration->moves.end());
  follow_moves();
}

void Trainer::Impl::follow_moves() {
  const MovedFormats by_overflow = dynamic ? dynamic->moved() : MovedFormats{};
  const MovedFormats by_gap = calibrated ? calibrated->moved() : MovedFormats{};
  if (dynamic) dynamic->set_base(with_moved(given_policy, by_gap));
  if (calibrated) calibrated->set_base(with_moved(given_policy, by_overflow));
  parts.policy = with_moved(with_moved(given_policy, by_gap), by_overflow);
}

}  // namespace halftone
