#include "halftone/optim/clip.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/ops/optimizer_ops.h"

namespace halftone::optim {
namespace {

std::vector<at::Tensor> gradients_of(const std::vector<at::Tensor>& parameters) {
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& each : parameters) {
    if (each.grad().defined()) gradients.push_back(each.grad());
  }
  return gradients;
}

void require_positive(double value, const char* name) {
  if (!(value > 0)) throw UsageError(format_number(value), "a number > 0", name);
}

}  // namespace

double clip_factor(double norm, double max_norm) {
  constexpr double kEps = 1e-6;  // PyTorch's, so that trajectories agree
  const double factor = max_norm / (norm + kEps);
  return factor < 1 ? factor : 1;
}

double clip_grad_norm(const std::vector<at::Tensor>& parameters, double max_norm,
                      bool error_if_nonfinite) {
  require_positive(max_norm, "max_norm");
  const c10::NoGradGuard no_grad;
  const auto gradients = gradients_of(parameters);
  const auto reading = ops::read_gradients(gradients);
  if (reading.first_non_finite >= 0) {
    if (error_if_nonfinite) {
      throw Error("a gradient that is not finite (gradient " +
                      std::to_string(reading.first_non_finite) + ")",
                  "finite gradients", "clip_grad_norm");
    }
    return reading.norm;
  }
  const double factor = clip_factor(reading.norm, max_norm);
  if (factor < 1) at::_foreach_mul_(gradients, factor);
  return reading.norm;
}

void clip_grad_value(const std::vector<at::Tensor>& parameters, double clip_value) {
  require_positive(clip_value, "clip_value");
  const c10::NoGradGuard no_grad;
  for (auto& gradient : gradients_of(parameters)) gradient.clamp_(-clip_value, clip_value);
}

}  // namespace halftone::optim
