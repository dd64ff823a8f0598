// One pass over evaluation data in the policy's evaluation format.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <functional>
#include <optional>

#include "halftone/data/loader.h"
#include "halftone/precision/policy.h"
#include "halftone/train/callback.h"

namespace halftone {

struct EvaluationParts {
  torch::nn::Module& module;
  const std::function<at::Tensor(const at::Tensor& input)>& forward;
  const std::function<at::Tensor(const at::Tensor& output, const at::Tensor& target)>& loss;
  // Null: top-1 accuracy where output is (N, classes) and target (N) int64, else NaN.
  const std::function<at::Tensor(const at::Tensor& output, const at::Tensor& target)>& metric;
  data::Loader& loader;
  const Policy& policy;
};

// In evaluation mode, which is put back after it; generators and weights are as before. Where the
// policy evaluates in its compute format the forward runs under Autocast; where it evaluates in
// fp32 or fp64 instead, `module`'s weights must have that format. stop: asked after each batch; an
// answer of true ends the pass with no result.
std::optional<Evaluation> evaluate(const EvaluationParts& parts,
                                   const std::function<bool()>& stop = {});

// A batch's input on the device, in the format that a forward without autocast needs (fp64 weights
// take fp64).
at::Tensor to_input(const at::Tensor& input, c10::Device device, Format compute);
// Of the first parameter. Walks the module: not for every step.
c10::Device device_of(const torch::nn::Module& module);

}  // namespace halftone
