#include <cmath>

#include "halftone/numerics/range_report.h"
#include "halftone/train/calibration_report.h"
#include "halftone/train/callbacks.h"

namespace halftone {

void TensorBoardLog::on_start(const RunInfo& run) {
  events_ = std::make_unique<EventWriter>(directory_);
  events_->add_restart(run.first_step + 1);
}

void TensorBoardLog::on_step(const StepInfo& step) {
  EventWriter::Scalars scalars = {{"train/lr", step.lr},
                                  {"train/scale", step.scale},
                                  {"train/skipped", step.applied ? 0 : 1},
                                  {"time/step_ms", step.step_ms},
                                  {"time/wait_ms", step.wait_ms},
                                  {"train/loss", step.loss}};
  if (std::isfinite(step.grad_norm)) scalars.emplace_back("train/grad_norm", step.grad_norm);
  events_->add_scalars(step.step, scalars);
}

// By log2 of the magnitude; zeros and what is not finite have none.
void TensorBoardLog::on_ranges(const numerics::RangeReport& ranges) {
  constexpr int kBias = 127;
  std::vector<EventWriter::Histogram> histograms;
  for (const numerics::TensorStatistics& tensor : ranges.tensors) {
    EventWriter::Histogram histogram;
    histogram.tag =
        std::string("ranges/") + numerics::tensor_kind_name(tensor.kind) + "/" + tensor.name;
    for (int e = 1; e < 255; ++e) {
      const std::int64_t count = tensor.exponents[static_cast<std::size_t>(e)];
      if (count) histogram.buckets.emplace_back(e - kBias + 1, static_cast<double>(count));
    }
    histograms.push_back(std::move(histogram));
  }
  events_->add_histograms(ranges.step, histograms);
}

void TensorBoardLog::on_calibration(const CalibrationReport& calibration) {
  EventWriter::Scalars scalars = {{"calibration/raised", static_cast<double>(calibration.raised)}};
  const double loss_gap = calibration.found.loss_gap(), metric_gap = calibration.found.metric_gap();
  if (std::isfinite(loss_gap)) scalars.emplace_back("calibration/loss_gap", loss_gap);
  if (calibration.found.metric && std::isfinite(metric_gap)) {
    scalars.emplace_back("calibration/metric_gap", metric_gap);
  }
  events_->add_scalars(calibration.step, scalars);
}

void TensorBoardLog::on_switch(const PrecisionSwitch& change) {
  const auto bits = [](const std::string& format) {
    return static_cast<double>(format_bits(format));
  };
  // A step between the two values, not a slope since the switch before.
  events_->add_scalars(change.step - 1, {{"precision/" + change.name, bits(change.from)}});
  events_->add_scalars(change.step, {{"precision/" + change.name, bits(change.to)}});
}

void TensorBoardLog::on_evaluation(const Evaluation& evaluation) {
  EventWriter::Scalars scalars = {{"eval/loss", evaluation.loss}};
  for (const auto& [kind, value] : evaluation.metrics)
    if (std::isfinite(value)) scalars.emplace_back("eval/" + kind.name, value);
  events_->add_scalars(evaluation.step, scalars);
}

}  // namespace halftone
