#include "halftone/scaling/grad_scaler.h"

#include <ATen/ATen.h>
#include <torch/optim/lbfgs.h>

#include <algorithm>
#include <limits>
#include <string>

#include "halftone/base/error.h"
#include "halftone/base/log.h"
#include "halftone/base/text.h"
#include "halftone/precision/autocast.h"
#include "halftone/scaling/gradients.h"
#include "halftone/scaling/scaled_optimizer.h"
#include "halftone/scaling/skip_warning.h"

namespace halftone {
namespace {

[[noreturn]] void throw_closure() {
  throw Error(
      "step() with a closure: it would run backward again, after the gradients were checked",
      "scale(loss).backward() before step(), and an optimizer that needs no closure", "GradScaler");
}

}  // namespace

GradScaler::GradScaler(const LossScalePolicy& policy) : scale_(policy) {}

at::Tensor GradScaler::scale(const at::Tensor& loss) {
  if (!loss.defined() || !loss.is_floating_point()) {
    throw Error(loss.defined() ? std::string("a loss of ") + c10::toString(loss.scalar_type())
                               : "an undefined loss",
                "a floating-point tensor", "GradScaler::scale");
  }
  if (!enabled()) return loss;
  const bool half = loss.scalar_type() == at::kHalf || loss.scalar_type() == at::kBFloat16;
  return (half ? loss.to(at::kFloat) : loss) * loss_scale();
}

void GradScaler::unscale_(torch::optim::Optimizer& optimizer) {
  PerOptimizer& state = optimizers_[&optimizer];
  if (state.stage == Stage::unscaled) {
    throw Error("unscale_() was called twice on this optimizer since the last update()",
                "once, before step()", "GradScaler");
  }
  if (state.stage == Stage::stepped) {
    throw Error("unscale_() was called after step() on this optimizer", "update() between them",
                "GradScaler");
  }
  const GradientCheck check = unscale_gradients(optimizer, 1 / loss_scale(), !enabled());
  if (check.tensors == 0) throw_no_gradients(optimizer, "GradScaler::unscale_()");
  state.stage = Stage::unscaled;
  if (!check.finite()) {
    state.first_non_finite = parameter_label(optimizer, check.first_non_finite);
  }
}

StepResult GradScaler::step(torch::optim::Optimizer& optimizer) {
  if (dynamic_cast<torch::optim::LBFGS*>(&optimizer)) throw_closure();
  PerOptimizer& state = optimizers_[&optimizer];
  if (state.stage == Stage::stepped) {
    throw Error("step() was called twice on this optimizer since the last update()",
                "update() once per iteration, after the steps", "GradScaler");
  }
  // Gradients that unscale_() has unscaled are read again: they may have been clipped since.
  const double inverse = state.stage == Stage::unscaled ? 1 : 1 / loss_scale();
  auto* const scaled = dynamic_cast<ScaledOptimizer*>(&optimizer);
  const GradientCheck check =
      scaled ? scaled->check_gradients() : unscale_gradients(optimizer, inverse, !enabled());
  if (check.tensors == 0) throw_no_gradients(optimizer, "GradScaler::step()");
  if (!scaled) state.stage = Stage::unscaled;
  if (!check.finite() && state.first_non_finite.empty()) {
    state.first_non_finite = parameter_label(optimizer, check.first_non_finite);
  }

  StepResult result;
  result.applied = state.first_non_finite.empty();
  result.first_non_finite = state.first_non_finite;
  result.scale = loss_scale();
  if (!result.applied) {
    result.grad_norm = std::numeric_limits<double>::infinity();
    ++skipped_steps_;
  } else if (scaled) {
    result.grad_norm = check.norm * inverse;
    scaled->scaled_step(inverse, check);
  } else {
    result.grad_norm = check.norm;
    optimizer.step();
    clear_autocast_cache();  // torch::optim writes behind the version counter
  }
  state.stage = Stage::stepped;
  return result;
}

StepResult GradScaler::step(torch::optim::Optimizer&, const torch::optim::Optimizer::LossClosure&) {
  throw_closure();
}

void GradScaler::update() {
  bool stepped = false;
  std::string first_non_finite;
  for (const auto& [optimizer, state] : optimizers_) {
    stepped = stepped || state.stage == Stage::stepped;
    if (!state.first_non_finite.empty()) first_non_finite = state.first_non_finite;
  }
  if (!stepped) {
    throw Error(updated_ ? "update() was called twice without a step() between"
                         : "update() was called before any step()",
                "step() of every optimizer, then update()", "GradScaler");
  }
  const double before = loss_scale();
  scale_.update(!first_non_finite.empty());
  if (loss_scale() != before) {
    log_line("scaler",
             "loss scale " + format_number(before) + " -> " + format_number(loss_scale()));
  }
  if (skipped_in_a_row_ == 0) scale_before_row_ = before;
  count_iteration(first_non_finite);
  optimizers_.clear();
  updated_ = true;
}

void GradScaler::count_iteration(const std::string& first_non_finite) {
  if (first_non_finite.empty()) {
    skipped_in_a_row_ = 0;
    return;
  }
  ++skipped_in_a_row_;
  const std::int64_t past = skipped_in_a_row_ - warn_first_;
  if (warn_first_ == 0 || past < 0) return;
  if (past == 0 || (warn_every_ > 0 && past % warn_every_ == 0)) {
    warn(skip_warning(skipped_in_a_row_, first_non_finite, scale_, scale_before_row_));
  }
}

void GradScaler::set_skip_warning(std::int64_t first, std::int64_t every) {
  if (first < 0 || every < 0) {
    throw UsageError(std::to_string(std::min(first, every)) + " skips", "0 or more",
                     "GradScaler::set_skip_warning");
  }
  warn_first_ = first;
  warn_every_ = every;
}

}  // namespace halftone
