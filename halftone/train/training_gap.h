// What a calibration measures of a network that trains.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "halftone/data/batch.h"
#include "halftone/numerics/operation_timer.h"
#include "halftone/train/calibrated_precision.h"
#include "halftone/train/evaluation.h"
#include "halftone/train/safetensors.h"
#include "halftone/train/trainer.h"

namespace halftone {

// What it measures on.
struct GapParts {
  const TrainerParts& trained;  // under the policy of the run; its evaluation data are the held-out
  c10::Device device;
  NamedTensors masters;      // of the module, full precision
  const data::Batch& batch;  // that sensitivities are measured on, as training takes it
  double loss_scale = 1;
};

// For one calibration, between two steps. Weights, gradients, buffers, generators and what an
// emulation remembers are as before each call. Not thread-safe.
class HALFTONE_API TrainingGap final : public GapSource {
 public:
  // Evaluates in the reference format.
  explicit TrainingGap(GapParts parts);

  FormatGap gap(const Policy& policy) override;
  // Those of a forward pass that a rule can name and that are below fp32.
  std::vector<RaisableOperation> raisable(const Policy& policy) override;
  // By numerics::PrecisionProbe, in training mode, with the masters as weights.
  void measure(const Policy& policy, std::vector<RaisableOperation>& operations) override;

 private:
  Evaluation evaluate_under(const Policy& policy) const;
  at::Tensor loss() const;

  GapParts parts_;
  Evaluation reference_;
};

}  // namespace halftone
