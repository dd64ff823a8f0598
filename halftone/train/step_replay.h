// Runs a training step again, watched, and leaves no trace of it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "halftone/data/batch.h"
#include "halftone/numerics/fault_finder.h"
#include "halftone/numerics/fault_report.h"
#include "halftone/train/trainer.h"

namespace halftone {

class GradScaler;

// What a step began with, and its micro-batches. Weights are not kept: a step that goes bad does
// not write them. Not thread-safe.
class StepReplay {
 public:
  // parts: must outlive it.
  StepReplay(const TrainerParts& parts, c10::Device device);

  // Before the first micro-batch: copies the generators' states and the module's buffers.
  void begin_step();
  // Before each micro-batch, of `group` in the step; keeps its tensors, without a copy. phase: of
  // the objective; each phase is a step of its own here.
  void add(const data::Batch& batch, std::int64_t group, std::int64_t phase = 0);
  // Forgets the micro-batches.
  void end_step();

  // What was not finite: the loss of the last micro-batch, or gradients.
  enum class Until { loss, gradients };

  // Completes `about` with the fault, its hints and what the replay cost. Runs the step once; two
  // times more, to compare them, where the fault does not come again. Module, gradients, generators
  // and scaler are as before the call. Does not throw what the module throws: FaultKind::failed.
  numerics::FaultReport explain(GradScaler& scaler, numerics::FaultReport about, Until until);

 private:
  struct MicroBatch {
    data::Batch batch;
    std::int64_t group, phase;
  };
  struct Pass {
    std::optional<numerics::Fault> fault;
    std::vector<numerics::FaultFinder::Trace> trace;
  };
  numerics::Fault find(GradScaler& scaler, Until until, std::int64_t& replays);
  Pass run(GradScaler& scaler, Until until, bool trace);
  at::Tensor run_micro_batch(GradScaler& scaler, const MicroBatch& micro, bool backward);

  const TrainerParts& parts_;
  c10::Device device_;
  at::Tensor generator_, device_generator_;
  std::vector<at::Tensor> buffers_;
  std::vector<MicroBatch> micro_batches_;
};

}  // namespace halftone
