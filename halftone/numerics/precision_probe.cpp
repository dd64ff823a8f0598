#include "halftone/numerics/precision_probe.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <cmath>
#include <limits>

#include "halftone/base/error.h"
#include "halftone/ops/generator.h"

namespace halftone::numerics {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

double PrecisionError::gradient_snr_db() const { return -20 * std::log10(gradient); }

PrecisionProbe::PrecisionProbe(const torch::nn::Module& module, std::size_t batches, Loss loss)
    : module_(module), loss_(std::move(loss)), generator_(generator_state()) {
  parameters_ = trained_parameters(module);
  if (parameters_.empty()) {
    throw UsageError("a module without parameters", "one that trains", "precision probe");
  }
  if (batches == 0) throw UsageError("0", "1 or more", "precision probe, batches");
  for (std::size_t i = 0; i < batches; ++i) {
    fp32_.push_back(run(Policy::preset("fp32"), i, 1));
    if (!fp32_.back().finite) {
      throw Error("a loss or gradient in fp32 that is not finite", "finite ones",
                  "batch " + std::to_string(i + 1));
    }
    for (const at::Tensor& gradient : fp32_.back().gradients) {
      if (gradient.defined()) squared_norm_ += squared_norm(gradient);
    }
  }
  batch_noise_ = find_batch_noise();
}

PrecisionProbe::Result PrecisionProbe::run(const Policy& policy, std::size_t batch,
                                           double loss_scale) {
  return run_trial_pass(module_, {policy, loss_scale, generator_}, [&] { return loss_(batch); });
}

double PrecisionProbe::find_batch_noise() const {
  const auto batches = static_cast<double>(fp32_.size());
  double squared_mean = 0;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor sum;
    for (const Result& each : fp32_) {
      if (!each.gradients[i].defined()) continue;
      sum = sum.defined() ? sum + each.gradients[i] : each.gradients[i];
    }
    if (sum.defined()) squared_mean += squared_norm(sum / batches);
  }
  if (batches < 2 || !(squared_norm_ > 0)) return 0;
  const double mean_square = squared_norm_ / batches;
  const double variance = batches / (batches - 1) * std::max(0.0, mean_square - squared_mean);
  return std::sqrt(variance / mean_square);
}

PrecisionError PrecisionProbe::measure(const Policy& policy, double loss_scale) {
  PrecisionError error;
  double squared = 0;
  for (std::size_t i = 0; i < fp32_.size(); ++i) {
    const Result result = run(policy, i, loss_scale);
    if (!result.finite) return {kInfinity, kInfinity};
    error.loss += std::abs(result.loss - fp32_[i].loss) /
                  std::max(std::abs(fp32_[i].loss), std::numeric_limits<double>::min());
    for (std::size_t j = 0; j < parameters_.size(); ++j) {
      if (!result.gradients[j].defined() || !fp32_[i].gradients[j].defined()) continue;
      squared += squared_norm(result.gradients[j] - fp32_[i].gradients[j]);
    }
  }
  error.loss /= static_cast<double>(fp32_.size());
  error.gradient = squared_norm_ > 0 ? std::sqrt(squared / squared_norm_) : 0;
  return error;
}

double PrecisionProbe::find_loss_scale(const Policy& policy, double from) {
  for (double scale = from; scale >= 1; scale /= 2) {
    bool finite = true;
    for (std::size_t i = 0; finite && i < fp32_.size(); ++i) {
      finite = run(policy, i, scale).finite;
    }
    if (finite) return scale;
  }
  return 0;
}

}  // namespace halftone::numerics
