#include "halftone/tasks/precision_trial.h"

#include <algorithm>
#include <chrono>

#include "halftone/base/error.h"

namespace halftone::tasks {
namespace {

constexpr std::int64_t kProbeSamples = 8;
constexpr double kHopeless = 6;      // times the first trial's
constexpr double kPatienceMs = 500;  // a step that is shorter is measured all the same
constexpr int kSecondThoughts = 3;
constexpr double kProbeSeconds = 5;  // of a trial

}  // namespace

PrecisionTrial make_trial(const Policy& policy, RunConfig config, const TaskData& data) {
  config.policy = policy;
  config.accumulate = 1;  // each batch is a step that is told of
  return {.name = policy.name, .session = make_session(config, data)};
}

double run_step(PrecisionTrial& trial, const data::Batch& batch) {
  const auto start = std::chrono::steady_clock::now();
  try {
    const StepInfo info = trial.session.trainer->step(batch);
    trial.last_applied = info.applied;
    trial.loss.add(info.loss, info.samples);
  } catch (const Error&) {
    trial.finite = false;
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  trial.seconds += taken.count();
  return taken.count() * 1e3;
}

data::Batch small_batch(Learner& learner, RunConfig config, const TaskData& data) {
  config.batch = std::min(config.batch, kProbeSamples);
  return next_batch(*data.train(config, learner));
}

void probe(std::vector<PrecisionTrial>& trials, const RunConfig& config, const TaskData& data) {
  const data::Batch small = small_batch(*trials[0].session.learner, config, data);
  const double share = static_cast<double>(config.batch) /
                       static_cast<double>(std::min(config.batch, kProbeSamples));
  double first = 0;
  for (PrecisionTrial& trial : trials) {
    double milliseconds = run_step(trial, small);
    // Without the first call's set-up.
    if (trial.seconds < 1) milliseconds = run_step(trial, small);
    if (&trial == &trials[0]) first = milliseconds;
    const auto hopeless = [&] {
      return milliseconds > kHopeless * first && milliseconds * share > kPatienceMs;
    };
    // Once more: it may have been another program's doing.
    for (int i = 0; i < kSecondThoughts && hopeless() && trial.seconds < kProbeSeconds; ++i) {
      milliseconds = std::min(milliseconds, run_step(trial, small));
    }
    if (hopeless()) trial.hopeless = milliseconds * share;
  }
}

data::Batch next_batch(data::BatchSource& source) {
  if (source.epoch() < 0) source.start_epoch(0);
  auto batch = source.next();
  if (!batch) {
    source.start_epoch(source.epoch() + 1);
    batch = source.next();
  }
  if (!batch) throw Error("no batch", "one", "training data");
  return std::move(*batch);
}

void time_steps(std::vector<PrecisionTrial>& trials, std::size_t turns, double most_seconds,
                std::uint64_t seed) {
  std::vector<data::Batch> batches;
  for (std::size_t i = 0; i < kUncountedTurns + turns; ++i) {
    batches.push_back(next_batch(*trials[0].session.train));
  }
  take_turns(trials, batches, seed,
             [=](PrecisionTrial& trial, const data::Batch& batch, bool counted) {
               if (trial.hopeless || !trial.finite) return;
               if (trial.seconds > most_seconds && trial.step_ms.count() > 0) return;
               const double milliseconds = run_step(trial, batch);
               if (counted || trial.seconds > most_seconds) trial.step_ms.add(milliseconds);
             });
}

}  // namespace halftone::tasks
