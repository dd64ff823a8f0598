#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/train/signals.h"
#include "halftone/train/trainer_impl.h"

namespace halftone {

std::int64_t Trainer::Impl::steps_per_epoch() const {
  return (parts.train->batches() + options.accumulate - 1) / options.accumulate;
}

std::int64_t Trainer::Impl::total_steps() const {
  const std::int64_t all = steps_per_epoch() * options.epochs;
  return options.max_steps > 0 ? std::min(options.max_steps, all) : all;
}

bool Trainer::Impl::finished() const {
  return epochs >= options.epochs || (options.max_steps > 0 && steps >= options.max_steps);
}

// From where the loader stands, so that a resumed run knows it too.
std::int64_t Trainer::Impl::epoch_of_last_step() const {
  const auto* loader = parts.train.get();
  const bool amid = loader && loader->position() > 0 && loader->position() < loader->batches();
  return amid ? epochs : std::max<std::int64_t>(0, epochs - 1);
}

// Everything that can go wrong before the first step goes wrong here.
RunInfo Trainer::Impl::start() {
  if (!parts.train) throw Error("no training loader", "one", "trainer");
  if (micro) throw Error("run() amid a step of several micro-batches", "between steps", "trainer");
  if (store) {
    store->prepare();
    if (!resumed && steps == 0 && !store->list().empty()) {
      if (!options.overwrite)
        throw UsageError("checkpoints of a run before", "to resume it, or another directory",
                         options.out.string());
      store->clear();
    }
  }
  if (!finished() && parts.train->epoch() != epochs) parts.train->start_epoch(epochs);
  if (evaluation_due) begin_epoch(epoch_of_last_step());
  RunInfo info;
  info.first_step = steps;
  info.total_steps = total_steps();
  info.steps_per_epoch = steps_per_epoch();
  info.epochs = options.epochs;
  info.resumed = resumed;
  info.policy = parts.policy.name;
  return info;
}

void Trainer::Impl::begin_epoch(std::int64_t epoch) {
  if (std::exchange(epoch_begun, epoch) == epoch) return;
  const std::int64_t per_epoch = steps_per_epoch();
  const bool steps_end = options.max_steps > 0 && options.max_steps <= (epoch + 1) * per_epoch;
  parts.objective->begin_epoch(epoch, steps_end || epoch + 1 >= options.epochs);
}

StepInfo Trainer::Impl::step_from_loader() {
  begin_epoch(epochs);
  data::BatchSource& loader = *parts.train;
  const std::int64_t group =
      std::min(options.accumulate, loader.batches() - loader.position());  // an epoch's last: fewer
  const double waited = loader.wait_seconds();
  StepInfo info;
  for (std::int64_t i = 0; i < group; ++i) info = step(*loader.next(), group);
  info.wait_ms = (loader.wait_seconds() - waited) * 1e3;

  const bool epoch_ended = loader.position() == loader.batches();
  if (epoch_ended) ++epochs;
  if (epoch_ended && !finished()) loader.start_epoch(epochs);
  const auto due = [&](std::int64_t every) {
    return finished() || (every > 0 ? steps % every == 0 : epoch_ended);
  };
  evaluation_due = parts.evaluation && due(options.eval_every_steps);
  checkpoint_due = due(options.checkpoint_every);
  return info;
}

// A signal amid an evaluation leaves it due: the resumed run begins with it.
void Trainer::Impl::evaluate_in_run() {
  const auto result = evaluate([this] { return options.handle_signals && SignalGuard::caught(); });
  if (!result) return;
  evaluation_due = false;
  last = *result;
  last.best = best.samples == 0 ? !std::isnan(last.score()) : last.score() > best.score();
  since_better = last.best ? 0 : since_better + 1;
  if (last.best) best = last;
  for (std::int64_t phase = 0; phase < phases; ++phase) {
    if (const auto scheduler = at_phase(phase).scheduler) scheduler->observe(last.loss);
  }
  tell([&](Callback& callback) { callback.on_evaluation(last); });
  if (last.best && store) store->write_best(state_dict());
}

void Trainer::Impl::write_checkpoint() {
  checkpoint_due = false;
  if (!store) return;
  const auto path = store->write(steps, state_dict());
  tell([&](Callback& callback) { callback.on_checkpoint(steps, path); });
}

void Trainer::Impl::tell_of_step() {
  if (std::exchange(fault_untold, false)) {
    tell([&](Callback& callback) { callback.on_fault(*fault); });
  }
  if (std::exchange(calibration_untold, false)) {
    tell([&](Callback& callback) { callback.on_calibration(*calibration); });
  }
  for (; switches_told < switches.size(); ++switches_told) {
    tell([&](Callback& callback) { callback.on_switch(switches[switches_told]); });
  }
  if (std::exchange(ranges_untold, false)) {
    tell([&](Callback& callback) { callback.on_ranges(*ranges); });
  }
}

TrainResult Trainer::Impl::run() {
  const auto begin = std::chrono::steady_clock::now();
  std::optional<SignalGuard> guard;
  if (options.handle_signals) guard.emplace();
  const RunInfo info = start();
  tell([&](Callback& callback) { callback.on_start(info); });

  TrainResult result;
  while (true) {
    if (evaluation_due) evaluate_in_run();
    result.stopped_early =
        options.early_stop_patience > 0 && since_better >= options.early_stop_patience;
    result.signal = options.handle_signals ? SignalGuard::caught() : 0;
    const bool last_one = finished() || result.stopped_early || result.signal;
    if (checkpoint_due || (last_one && steps > info.first_step)) write_checkpoint();
    if (last_one) break;
    StepInfo step;
    try {
      step = step_from_loader();
    } catch (...) {
      tell_of_step();
      throw;
    }
    tell_of_step();
    tell([&](Callback& callback) { callback.on_step(step); });
  }
  result.steps = steps;
  result.epochs = epochs;
  result.skipped_steps = skipped;
  result.final_scale = scaler.loss_scale();
  result.last = last;
  result.best = best;
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  tell([&](Callback& callback) { callback.on_end(result); });
  return result;
}

}  // namespace halftone
