// What a policy costs in accuracy: loss and gradients of a few batches against fp32's.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/numerics/trial_pass.h"
#include "halftone/precision/policy.h"

namespace torch::nn {
class Module;
}

namespace halftone::numerics {

// Relative to fp32's, over all batches: |loss - fp32's| / |fp32's|, the mean; and the Euclidean
// norm of the gradients' difference over that of fp32's gradients, all parameters as one vector.
struct PrecisionError {
  double loss = 0, gradient = 0;  // infinity where a number was not finite

  // The gradient's ratio of signal to error in dB.
  HALFTONE_API double gradient_snr_db() const;
};

// Runs forward and backward of the same batches from the same weights, buffers and generator state
// under fp32, once, and under policies that are to be compared with it. Weights, their gradients,
// buffers and generators stay as they were. Not thread-safe.
class HALFTONE_API PrecisionProbe {
 public:
  using Loss = std::function<at::Tensor(std::size_t batch)>;

  // module: fp32 weights whose names are registered (halftone::apply does). loss: of that batch, a
  // scalar. Throws UsageError for a module without parameters that want gradients and for no batch,
  // and Error where fp32's own loss or gradients are not finite.
  PrecisionProbe(const torch::nn::Module& module, std::size_t batches, Loss loss);

  // loss_scale: multiplies the loss before backward, and is divided out again.
  PrecisionError measure(const Policy& policy, double loss_scale = 1);

  // `from`, halved until no gradient of the batches overflows under `policy`; 0 where even 1 is too
  // much.
  double find_loss_scale(const Policy& policy, double from);

  // The standard deviation of a batch's gradient around the expected one, over the gradient's
  // norm: the share of it that is sampling noise, which training lives with anyway (McCandlish et
  // al. 2018, "An empirical model of large-batch training", arXiv:1812.06162, 2.2). About 1 where
  // noise is nearly all; 0 for one batch.
  double batch_noise() const { return batch_noise_; }

 private:
  using Result = TrialPass;
  Result run(const Policy& policy, std::size_t batch, double loss_scale);
  double find_batch_noise() const;

  const torch::nn::Module& module_;
  Loss loss_;
  std::vector<at::Tensor> parameters_;
  at::Tensor generator_;
  std::vector<Result> fp32_;  // by batch
  double squared_norm_ = 0;   // of fp32's gradients, over all batches
  double batch_noise_ = 0;
};

}  // namespace halftone::numerics
