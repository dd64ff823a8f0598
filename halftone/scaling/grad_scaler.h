// GradScaler: multiplies the loss so that small gradients survive fp16, and steps an optimizer only
// with gradients that are finite.
#pragma once

#include <torch/optim/optimizer.h>

#include <cstdint>
#include <string>
#include <unordered_map>

#include "halftone/base/export.h"
#include "halftone/ops/state_dict.h"
#include "halftone/precision/policy.h"
#include "halftone/scaling/loss_scale.h"

namespace halftone {

// What GradScaler::step() did.
struct StepResult {
  bool applied = false;
  // Name of the first parameter (in the order of the optimizer's groups) whose gradient was not
  // finite; empty where the step was applied. "group G, parameter I" where the name is not known
  // (halftone::apply and register_parameter_names make it known).
  std::string first_non_finite;
  double grad_norm = 0;  // global L2 norm of the unscaled gradients; infinity for a skipped step
  double scale = 1;      // the loss scale of these gradients
};

// Loss scaling (Micikevicius et al. 2018, "Mixed precision training", 3.2), compatible with
// torch.amp.GradScaler in its numbers and states. One iteration:
//
//   scaler.scale(loss).backward();      // any number of losses and backward passes
//   scaler.unscale_(optimizer);         // only to look at or clip the gradients by hand
//   scaler.step(optimizer);             // once per optimizer
//   scaler.update();                    // once, at the end
//
// Each optimizer goes READY -> UNSCALED -> STEPPED; update() makes all READY again. Gradients of an
// optimizer are read once, by one check for all of them, before anything is written; where one is
// not finite the step writes neither weights nor optimizer state. A halftone::optim optimizer
// (ScaledOptimizer) unscales inside its update pass, any other torch::optim::Optimizer has its
// gradients unscaled in place. One synchronisation with the device per step().
//
// With LossScaling::none nothing is scaled, but the check stays.
//
// Not thread-safe: one scaler belongs to one training loop. Optimizers must live until update().
class HALFTONE_API GradScaler {
 public:
  // Throws UsageError where a number of the policy makes no sense, e.g. a growth factor of 1.
  explicit GradScaler(const LossScalePolicy& policy = {.kind = LossScaling::dynamic});

  // `loss` (any shape, floating) times the scale. A half loss is taken to fp32 first, because it
  // could not hold the product. With LossScaling::none it is `loss` itself.
  at::Tensor scale(const at::Tensor& loss);

  // Divides the optimizer's gradients by the scale in place and checks them; step() then does not
  // divide again. Throws Error where it is called twice, or after step(), without update(); where
  // no parameter has a gradient; where a gradient is fp16 (in place it would lose what the scale
  // has saved) or sparse.
  void unscale_(torch::optim::Optimizer& optimizer);

  // Unscales if unscale_() was not called, then steps the optimizer if every gradient is finite.
  // Throws Error where it is called twice without update(), and as unscale_() does; fp16 gradients
  // are right for a ScaledOptimizer alone.
  StepResult step(torch::optim::Optimizer& optimizer);

  // Always throws: a closure would run backward again after the gradients were checked.
  [[noreturn]] StepResult step(torch::optim::Optimizer& optimizer,
                               const torch::optim::Optimizer::LossClosure& closure);

  // Moves the scale: down if any optimizer's gradients since the last update() were not finite.
  // Throws Error where no optimizer was stepped since then.
  void update();

  // The current scale; 1 with LossScaling::none.
  double loss_scale() const { return scale_.value(); }
  // Whether losses are scaled.
  bool enabled() const { return scale_.kind() != LossScaling::none; }
  // Calls of step() that were skipped, since construction or as loaded.
  std::int64_t skipped_steps() const { return skipped_steps_; }
  // Iterations in a row, up to the last update(), in which a step was skipped.
  std::int64_t skipped_in_a_row() const { return skipped_in_a_row_; }

  // A warning with the likely reason comes after `first` skips in a row and after every `every`
  // further ones. 0: none. Defaults: 20 and 100.
  void set_skip_warning(std::int64_t first, std::int64_t every);

  // To be called after update(). Python's torch.amp.GradScaler loads it; load_state_dict() takes
  // Python's. Loading starts a new iteration. It throws Error that names the key that is
  // missing, unknown or wrong; then nothing has changed.
  StateDict state_dict() const;
  void load_state_dict(const StateDict& state);

 private:
  enum class Stage { ready, unscaled, stepped };
  struct PerOptimizer {
    Stage stage = Stage::ready;
    std::string first_non_finite;  // empty: all finite
  };

  void count_iteration(const std::string& first_non_finite);

  LossScale scale_;
  std::unordered_map<torch::optim::Optimizer*, PerOptimizer> optimizers_;  // since update()
  bool updated_ = false;
  std::int64_t skipped_steps_ = 0;
  std::int64_t skipped_in_a_row_ = 0;
  double scale_before_row_ = 1;  // the scale at the first of the skips in a row
  std::int64_t warn_first_ = 20;
  std::int64_t warn_every_ = 100;
};

}  // namespace halftone
