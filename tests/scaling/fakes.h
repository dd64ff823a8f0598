// Optimizers and helpers for the scaler's tests.
#pragma once

#include <torch/torch.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "halftone/scaling/grad_scaler.h"
#include "halftone/scaling/scaled_optimizer.h"

namespace halftone {

inline constexpr float kInf = std::numeric_limits<float>::infinity();
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Plain descent in two passes, with a record of what it was asked.
class FakeScaledOptimizer : public torch::optim::Optimizer, public ScaledOptimizer {
 public:
  explicit FakeScaledOptimizer(std::vector<at::Tensor> parameters)
      : Optimizer(std::move(parameters), std::make_unique<torch::optim::SGDOptions>(1.0)) {}

  GradientCheck check_gradients() override {
    calls.push_back("check");
    GradientCheck check;
    double squares = 0;
    const auto& parameters = param_groups()[0].params();
    for (const auto& parameter : parameters) {
      const at::Tensor grad = parameter.grad();
      if (!grad.defined()) continue;
      const double norm = grad.to(at::kDouble).norm().item<double>();
      squares += norm * norm;
      if (!std::isfinite(norm) && check.finite()) {
        check.first_non_finite = &parameter - parameters.data();
      }
      ++check.tensors;
    }
    check.norm = std::sqrt(squares);
    return check;
  }

  void scaled_step(double inverse_scale, const GradientCheck& check) override {
    calls.push_back("step");
    inverse_scales.push_back(inverse_scale);
    norms.push_back(check.norm);
    const at::NoGradGuard no_grad;
    for (auto& parameter : param_groups()[0].params()) {
      const at::Tensor grad = parameter.grad();
      if (grad.defined()) parameter.sub_(grad.to(at::kFloat) * inverse_scale);
    }
  }

  at::Tensor step(LossClosure) override { throw std::logic_error("the plain step"); }

  std::vector<std::string> calls;
  std::vector<double> inverse_scales, norms;
};

// Says what it is told, without tensors: for long trajectories.
class ScriptedOptimizer : public torch::optim::Optimizer, public ScaledOptimizer {
 public:
  ScriptedOptimizer()
      : Optimizer(std::vector<at::Tensor>{at::zeros({1})},
                  std::make_unique<torch::optim::SGDOptions>(1.0)) {}
  GradientCheck check_gradients() override { return {1, overflow ? 0 : -1, 1.0}; }
  void scaled_step(double, const GradientCheck&) override {}
  at::Tensor step(LossClosure) override { throw std::logic_error("the plain step"); }

  bool overflow = false;
};

inline at::Tensor parameter(std::vector<float> values) {
  return at::tensor(values).requires_grad_(true);
}

inline void set_grad(const at::Tensor& parameter, std::vector<float> values) {
  parameter.mutable_grad() = at::tensor(values).to(parameter.scalar_type());
}

inline torch::optim::SGD sgd(std::vector<at::Tensor> parameters, double lr = 1) {
  return torch::optim::SGD(std::move(parameters), torch::optim::SGDOptions(lr));
}

inline LossScalePolicy dynamic_scale(double init = 65536) {
  return {.kind = LossScaling::dynamic, .init = init};
}

// The same elements, NaN equal to NaN: the same bytes.
inline bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  const auto x = a.detach().contiguous(), y = b.detach().contiguous();
  return x.sizes() == y.sizes() && x.scalar_type() == y.scalar_type() &&
         std::memcmp(x.data_ptr(), y.data_ptr(), x.nbytes()) == 0;
}

}  // namespace halftone
