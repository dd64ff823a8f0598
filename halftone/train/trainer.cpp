#include "halftone/train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/models/network.h"
#include "halftone/ops/caching_allocator.h"
#include "halftone/precision/autocast.h"
#include "halftone/train/evaluation.h"
#include "halftone/train/objective.h"
#include "halftone/train/trainer_impl.h"
#include "halftone/train/weights.h"

namespace halftone {
namespace {

constexpr std::size_t kNamedIndices = 8;  // of a batch, in an error

void require(bool right, const std::string& given, const char* expected, const char* option) {
  if (!right) throw UsageError(given, expected, std::string("trainer, ") + option);
}

TrainerOptions checked(TrainerOptions options) {
  const auto at_least = [](const char* name, std::int64_t value, std::int64_t least) {
    require(value >= least, std::to_string(value), least ? "1 or more" : "0 or more", name);
  };
  at_least("epochs", options.epochs, 1);
  at_least("max_steps", options.max_steps, 0);
  at_least("accumulate", options.accumulate, 1);
  at_least("eval_every_steps", options.eval_every_steps, 0);
  at_least("checkpoint_every", options.checkpoint_every, 0);
  at_least("keep_last", options.keep_last, 1);
  at_least("monitor_every", options.monitor_every, 0);
  at_least("early_stop_patience", options.early_stop_patience, 0);
  require(options.ema_decay >= 0 && options.ema_decay < 1, format_number(options.ema_decay),
          "0 or more, below 1", "ema_decay");
  return options;
}

TrainerParts checked(TrainerParts parts) {
  const auto need = [](bool there, const char* what) {
    if (!there) throw Error(std::string("no ") + what, "one", "trainer");
  };
  need(parts.module != nullptr, "module");
  need(parts.optimizer != nullptr, "optimizer");
  for (const TrainerPhase& phase : parts.later_phases) {
    need(phase.optimizer != nullptr, "optimizer of a later phase");
  }
  if (const auto later = static_cast<std::int64_t>(parts.later_phases.size());
      later + 1 != (parts.objective ? parts.objective->phases() : 1)) {
    throw Error("optimizers for " + std::to_string(later + 1) + " phases",
                "one for each of the objective's", "trainer");
  }
  if (parts.objective) return parts;
  need(parts.loss != nullptr, "loss");
  if (!parts.forward)
    if (auto network = std::dynamic_pointer_cast<models::Network>(parts.module))
      parts.forward = [network](const at::Tensor& input) { return network->forward(input); };
  need(parts.forward != nullptr, "forward, and a module that is no models::Network");
  parts.objective = supervised({parts.forward, parts.loss, parts.metric});
  return parts;
}

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

}  // namespace

Trainer::Impl::Impl(TrainerParts given_parts, TrainerOptions given_options)
    : parts(checked(std::move(given_parts))),
      options(checked(std::move(given_options))),
      device(device_of(*parts.module)),
      scaler(parts.policy.loss_scale),
      phases(parts.objective->phases()),
      given_policy(parts.policy) {
  require(phases == 1 || options.accumulate == 1, std::to_string(options.accumulate),
          "1 where a step has several phases", "accumulate");
  if (options.caching_allocator) memory::install_caching_allocator();
  torch::manual_seed(options.seed);
  if (options.ema_decay > 0)
    ema = std::make_unique<optim::Ema>(*parts.module, optim::EmaOptions{.decay = options.ema_decay},
                                       [this](const at::Tensor& each) { return master(each); });
  if (options.lookahead.every > 0)
    lookahead = std::make_unique<optim::Lookahead>(
        *parts.module, options.lookahead, [this](const at::Tensor& each) { return master(each); });
  if (parts.policy.dynamic.overflows > 0) dynamic.emplace(parts.policy);
  if (parts.policy.calibrate) {
    check_calibration();
    calibrated.emplace(parts.policy);
  }
  if (dynamic || options.explain_overflow != ExplainOverflow::never) replay.emplace(parts, device);
  if (options.monitor_every > 0) {
    monitor = std::make_shared<numerics::NumericsMonitor>(
        *parts.module, numerics::MonitorOptions{.every = options.monitor_every},
        [this](const at::Tensor& each) { return master(each); });
  }
  if (!options.out.empty()) store.emplace(options.out / "checkpoints", options.keep_last);
}

double Trainer::Impl::lr() const {
  const auto& groups = parts.optimizer->param_groups();
  return groups.empty() ? 0 : groups[0].options().get_lr();
}

double Trainer::Impl::loss_value(const at::Tensor& loss) {
  if (loss.numel() != 1)
    throw Error("a loss of " + std::to_string(loss.numel()) + " elements",
                "its mean over the batch, one number", "trainer, loss");
  return loss.item<double>();
}

void Trainer::Impl::lose_step(double value, const data::Batch& batch) {
  if (replay) {
    const auto report = replayed("loss " + format_number(value), StepReplay::Until::loss);
    lost = adjust_to(report);
    if (options.explain_overflow != ExplainOverflow::never) keep(report);
  }
  if (lost) return;
  forget_updates();
  std::string indices;
  for (std::size_t i = 0; i < std::min(kNamedIndices, batch.indices.size()); ++i)
    indices += (i ? ", " : "") + std::to_string(batch.indices[i]);
  if (batch.indices.size() > kNamedIndices) indices += ", …";
  std::string given = "loss " + format_number(value);
  given += " (batch indices " + indices + "; learning rate " + format_number(lr()) + ")";
  throw Error(fault_untold ? given + "; " + fault->headline() : given,
              "a finite loss: a lower learning rate, or data without NaN",
              "step " + std::to_string(steps + 1));
}

TrainerPhase Trainer::Impl::at_phase(std::int64_t phase) const {
  if (phase == 0) return {parts.optimizer, parts.scheduler};
  return parts.later_phases[static_cast<std::size_t>(phase - 1)];
}

double Trainer::Impl::differentiate(const data::Batch& batch, std::int64_t phase,
                                    std::int64_t group) {
  if (replay) {
    if (micro == 0) replay->begin_step();
    replay->add(batch, group, phase);
  }
  std::optional<numerics::OperationWatch> watch;
  begin_sample(phase, watch);
  at::Tensor loss;
  {
    const Autocast autocast(parts.policy, device.type());
    loss = parts.objective->phase_loss(on_device(batch, device, parts.policy.compute), phase);
  }
  const double value = loss_value(loss);
  if (!std::isfinite(value)) lose_step(value, batch);
  if (!lost) scaler.scale(group == 1 ? loss : loss / group).backward();
  if (watch) watch->rethrow();
  return value;
}

StepInfo Trainer::Impl::step(const data::Batch& batch, std::int64_t group) {
  const auto start = std::chrono::steady_clock::now();
  auto& module = *parts.module;
  if (!module.is_training()) module.train();
  StepInfo info;
  info.step = steps + 1;
  info.epoch = epochs;
  info.lr = lr();
  info.scale = scaler.loss_scale();
  info.complete = micro + 1 == group;
  info.applied = info.complete;
  double loss = 0;
  for (std::int64_t phase = 0; phase < phases; ++phase) {
    loss += differentiate(batch, phase, group);
    if (lost) break;
    if (info.complete) update(phase, info);
  }
  micro_loss += loss;
  ++micro;
  micro_samples += static_cast<std::int64_t>(batch.indices.size());
  if (info.complete) lost ? skip(info) : finish_step(info);
  micro_ms += milliseconds_since(start);
  info.loss = micro_loss / static_cast<double>(micro);
  info.samples = micro_samples;
  info.step_ms = micro_ms;
  if (info.complete) {
    if (!lost) trend.add(info.loss);
    lost = false;
    micro = micro_samples = 0;
    micro_loss = micro_ms = 0;
    calibrate_if_due(batch);
  }
  return info;
}

// Samples take the phases in turns.
void Trainer::Impl::begin_sample(std::int64_t phase,
                                 std::optional<numerics::OperationWatch>& watch) {
  if (!monitor || micro > 0) return;
  if (monitor->sampling()) monitor->take();  // of a step that threw
  if (!monitor->due(steps + 1) || (steps / options.monitor_every) % phases != phase) return;
  monitor->begin_step(steps + 1, scaler.loss_scale());
  watch.emplace(monitor);
}

// Before the scaler counts the step that has just been skipped.
bool Trainer::Impl::explains_skip() const {
  if (options.explain_overflow != ExplainOverflow::repeated) {
    return options.explain_overflow == ExplainOverflow::always;
  }
  const LossScalePolicy& scaling = parts.policy.loss_scale;
  const std::int64_t expected = scaling.kind == LossScaling::dynamic ? scaling.hysteresis : 0;
  return scaler.skipped_in_a_row() == expected;
}

numerics::FaultReport Trainer::Impl::replayed(const std::string& symptom, StepReplay::Until until) {
  numerics::FaultReport about;
  about.step = steps + 1;
  about.symptom = symptom;
  about.loss_scale = scaler.loss_scale();
  about.learning_rate = lr();
  about.trend = trend.growth();
  return replay->explain(scaler, std::move(about), until);
}

void Trainer::Impl::keep(const numerics::FaultReport& report) {
  fault = report;
  fault_untold = true;
}

// What is kept of a phase's forward and backward is done with.
void Trainer::Impl::end_phase() {
  if (replay) replay->end_step();
  if (monitor && monitor->sampling()) {
    ranges = monitor->take();
    ranges_untold = true;
  }
}

// The scaler does not count phases of a step that ends early: a loaded state begins a new
// iteration.
void Trainer::Impl::forget_updates() {
  if (phases > 1) scaler.load_state_dict(scaler.state_dict());
}

void Trainer::Impl::skip(StepInfo& info) {
  forget_updates();
  for (std::int64_t phase = 0; phase < phases; ++phase) at_phase(phase).optimizer->zero_grad();
  end_phase();
  ++steps;
  ++skipped;
  info.applied = false;
  info.grad_norm = std::numeric_limits<double>::quiet_NaN();
  info.first_non_finite = "the loss";
  try_again();
}

void Trainer::Impl::update(std::int64_t phase, StepInfo& info) {
  const TrainerPhase trained = at_phase(phase);
  // What a loss left on other phases' parameters on its way through them is not theirs.
  for (std::int64_t other = 0; other < phases; ++other) {
    if (other != phase) at_phase(other).optimizer->zero_grad();
  }
  if (monitor) monitor->before_update();
  const StepResult result = scaler.step(*trained.optimizer);
  if (monitor) monitor->after_update(result.applied);
  const bool explains = explains_skip();
  const bool adjusts = dynamic && dynamic->asks(steps + 1, scaler.loss_scale());
  if (!result.applied && (explains || adjusts)) {
    const auto report = replayed("gradient of " + result.first_non_finite + " not finite",
                                 StepReplay::Until::gradients);
    adjust_to(report);
    if (explains) keep(report);
  }
  trained.optimizer->zero_grad();
  end_phase();
  info.applied = info.applied && result.applied;
  info.scale = result.scale;
  info.grad_norm = phases == 1 ? result.grad_norm : std::hypot(info.grad_norm, result.grad_norm);
  if (!result.applied) info.first_non_finite = result.first_non_finite;
  if (result.applied && trained.scheduler) trained.scheduler->step();
}

void Trainer::Impl::finish_step(const StepInfo& info) {
  scaler.update();
  ++steps;
  try_again();
  if (!info.applied) {
    ++skipped;
    return;
  }
  if (lookahead) lookahead->update();
  if (ema) ema->update();
}

std::optional<Evaluation> Trainer::Impl::evaluate(const std::function<bool()>& stop) {
  if (!parts.evaluation) throw Error("no evaluation loader", "one", "trainer");
  const EvaluationParts evaluated{*parts.module, *parts.objective, *parts.evaluation, parts.policy};
  std::optional<Evaluation> result;
  if (const Format format = parts.policy.evaluation; format != parts.policy.compute) {
    // Not the weights as rounded for training: what the file of weights will hold.
    const WeightsReplaced replaced(*parts.module, full_weights(), scalar_type(format));
    result = halftone::evaluate(evaluated, stop);
  } else if (ema) {
    const auto averaged = ema->swap_in();
    result = halftone::evaluate(evaluated, stop);
  } else {
    result = halftone::evaluate(evaluated, stop);
  }
  if (result) {
    result->step = steps;
    result->epoch = epoch_of_last_step();
  }
  return result;
}

Trainer::Trainer(TrainerParts parts, TrainerOptions options)
    : impl_(std::make_unique<Impl>(std::move(parts), std::move(options))) {}
Trainer::~Trainer() = default;

void Trainer::add_callback(std::shared_ptr<Callback> callback) {
  impl_->callbacks.push_back(std::move(callback));
}

StepInfo Trainer::step(const data::Batch& batch) {
  return impl_->step(batch, impl_->options.accumulate);
}

StepInfo Trainer::step(std::span<const data::Batch> group) {
  const auto count = static_cast<std::int64_t>(group.size());
  const bool fits = count == 1 || (count > 1 && impl_->phases == 1);
  if (!fits || impl_->micro) {
    throw UsageError(std::to_string(count) + " batches" +
                         (impl_->micro ? " amid a step of several micro-batches" : ""),
                     "1 or more between steps; 1 where a step has several phases", "trainer, step");
  }
  StepInfo info;
  for (const data::Batch& batch : group) info = impl_->step(batch, count);
  return info;
}

Evaluation Trainer::evaluate() { return *impl_->evaluate({}); }
TrainResult Trainer::run() { return impl_->run(); }
std::int64_t Trainer::steps() const { return impl_->steps; }
std::int64_t Trainer::skipped_steps() const { return impl_->skipped; }
double Trainer::loss_scale() const { return impl_->scaler.loss_scale(); }
const numerics::FaultReport* Trainer::last_fault() const {
  return impl_->fault ? &*impl_->fault : nullptr;
}
const std::vector<PrecisionSwitch>& Trainer::precision_switches() const { return impl_->switches; }
const CalibrationReport* Trainer::last_calibration() const {
  return impl_->calibration ? &*impl_->calibration : nullptr;
}
const numerics::RangeReport* Trainer::last_ranges() const {
  return impl_->ranges ? &*impl_->ranges : nullptr;
}

}  // namespace halftone
