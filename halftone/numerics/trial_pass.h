// A forward and backward pass that leaves no trace.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "halftone/precision/policy.h"

namespace torch::nn {
class Module;
}

namespace halftone::numerics {

struct TrialPass {
  double loss = 0;
  std::vector<at::Tensor> gradients;  // of trained_parameters(); fp32, unscaled
  bool finite = true;                 // the loss and all gradients
};

struct TrialOptions {
  const Policy& policy;
  double loss_scale = 1;  // that the loss has in backward, and that is divided out again
  at::Tensor generator;   // the state that LibTorch's generator begins with
};

// Those that want a gradient.
std::vector<at::Tensor> trained_parameters(const torch::nn::Module& module);

// loss: -> a scalar. Weights, their gradients, buffers and the generator stay as they were.
TrialPass run_trial_pass(const torch::nn::Module& module, const TrialOptions& options,
                         const std::function<at::Tensor()>& loss);

double squared_norm(const at::Tensor& tensor);

}  // namespace halftone::numerics
