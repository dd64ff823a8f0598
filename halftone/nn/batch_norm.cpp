#include "halftone/nn/batch_norm.h"

#include <optional>

#include "halftone/nn/batch_norm_function.h"

namespace halftone::nn {
namespace {

std::optional<at::Tensor> optional_of(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional<at::Tensor>(tensor) : std::nullopt;
}

// What torch::nn::BatchNorm2d does before it calls the operation: counts the batch, finds momentum.
FusedNorm begin(torch::nn::BatchNorm2dImpl& module) {
  const auto& options = module.options;
  double momentum = options.momentum().value_or(0.0);
  const bool moves = module.is_training() && options.track_running_stats();
  if (moves && module.num_batches_tracked.defined()) {
    module.num_batches_tracked += 1;
    if (!options.momentum()) momentum = 1.0 / module.num_batches_tracked.item<double>();
  }
  return {optional_of(module.weight),
          optional_of(module.bias),
          optional_of(module.running_mean),
          optional_of(module.running_var),
          module.is_training() || !options.track_running_stats(),
          momentum,
          options.eps()};
}

}  // namespace

at::Tensor BatchNormReLUImpl::forward(const at::Tensor& x) {
  _check_input_dim(x);
  return batch_norm_relu(begin(*this), x, at::Tensor());
}

at::Tensor BatchNormAddReLUImpl::forward(const at::Tensor& x, const at::Tensor& residual) {
  _check_input_dim(x);
  return batch_norm_relu(begin(*this), x, residual);
}

}  // namespace halftone::nn
