#include "halftone/numerics/trial_pass.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/module.h>

#include <cmath>

#include "halftone/numerics/buffers_kept.h"
#include "halftone/ops/generator.h"
#include "halftone/precision/autocast.h"

namespace halftone::numerics {

double squared_norm(const at::Tensor& tensor) {
  const double norm = at::linalg_vector_norm(tensor).item<double>();
  return norm * norm;
}

std::vector<at::Tensor> trained_parameters(const torch::nn::Module& module) {
  std::vector<at::Tensor> parameters;
  for (const at::Tensor& parameter : module.parameters()) {
    if (parameter.defined() && parameter.requires_grad()) parameters.push_back(parameter);
  }
  return parameters;
}

TrialPass run_trial_pass(const torch::nn::Module& module, const TrialOptions& options,
                         const std::function<at::Tensor()>& loss_of_batch) {
  const std::vector<at::Tensor> parameters = trained_parameters(module);
  const GeneratorKept generator;
  const BuffersKept buffers(module);
  set_generator_state(options.generator);
  at::Tensor loss;
  {
    const Autocast autocast(options.policy, parameters.at(0).device().type());
    loss = loss_of_batch().to(at::kFloat);
  }
  TrialPass result;
  result.loss = loss.item<double>();
  result.finite = std::isfinite(result.loss);
  result.gradients =
      torch::autograd::grad({loss}, parameters, {at::full_like(loss, options.loss_scale)},
                            /*retain_graph=*/false, /*create_graph=*/false, /*allow_unused=*/true);
  for (at::Tensor& gradient : result.gradients) {
    if (!gradient.defined()) continue;
    gradient = gradient.to(at::kFloat).div(options.loss_scale);
    result.finite = result.finite && std::isfinite(squared_norm(gradient));
  }
  return result;
}

}  // namespace halftone::numerics
