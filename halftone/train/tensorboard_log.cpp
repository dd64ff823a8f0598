#include <cmath>

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

void TensorBoardLog::on_evaluation(const Evaluation& evaluation) {
  EventWriter::Scalars scalars = {{"eval/loss", evaluation.loss}};
  for (const auto& [kind, value] : evaluation.metrics)
    if (std::isfinite(value)) scalars.emplace_back("eval/" + kind.name, value);
  events_->add_scalars(evaluation.step, scalars);
}

}  // namespace halftone
