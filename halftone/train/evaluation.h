// One pass over evaluation data in the policy's evaluation format.
#pragma once

#include <torch/nn/module.h>

#include <functional>
#include <optional>

#include "halftone/data/batch_source.h"
#include "halftone/precision/policy.h"
#include "halftone/train/callback.h"
#include "halftone/train/objective.h"

namespace halftone {

struct EvaluationParts {
  torch::nn::Module& module;
  Objective& objective;
  data::BatchSource& source;
  const Policy& policy;
  std::int64_t batches = 0;  // the source's first ones; 0: all
};

// In evaluation mode, which is put back after it; generators and weights are as before. Where the
// policy evaluates in its compute format the forward runs under Autocast; where it evaluates in
// fp32 or fp64 instead, `module`'s weights must have that format. stop: asked after each batch; an
// answer of true ends the pass with no result. details: what the meter tells beside the metrics.
HALFTONE_API std::optional<Evaluation> evaluate(const EvaluationParts& parts,
                                                const std::function<bool()>& stop = {},
                                                EvaluationDetails* details = nullptr);

// The batch's tensors on the device; what is floating in the format that a forward without autocast
// needs (fp64 weights take fp64).
HALFTONE_API data::Batch on_device(const data::Batch& batch, c10::Device device, Format compute);
// Of the first parameter. Walks the module: not for every step.
HALFTONE_API c10::Device device_of(const torch::nn::Module& module);

}  // namespace halftone
