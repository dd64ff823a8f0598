#include "halftone/tasks/precision_choice.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "halftone/base/error.h"
#include "halftone/metrics/latency.h"
#include "halftone/tasks/session.h"

namespace halftone::tasks {
namespace {

constexpr std::int64_t kProbeSamples = 8;  // of the first small step
constexpr double kHopeless = 6;            // times fp32's: not measured further
constexpr int kWarmSteps = 2, kTimedSteps = 7;
constexpr double kSecondsAtMost = 10;  // for a candidate's full steps

struct Trial {
  Candidate candidate;
  Session session;
  metrics::Latency latency;
  bool last_applied = true;
  double seconds = 0;
};

Trial make_trial(const std::string& name, RunConfig config, const TaskData& data) {
  config.policy = Policy::preset(name);
  return {{.name = name}, make_session(config, data), {}, true, 0};
}

// One step; a loss that is not finite ends the trial, not the choice.
double run_step(Trial& trial, const data::Batch& batch) {
  const auto start = std::chrono::steady_clock::now();
  try {
    trial.last_applied = trial.session.trainer->step(batch).applied;
  } catch (const Error&) {
    trial.candidate.finite = false;
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  trial.seconds += taken.count();
  return taken.count() * 1e3;
}

// The second small step of each: a format without hardware shows itself before it costs minutes.
void probe(std::vector<Trial>& trials, RunConfig config, const TaskData& data) {
  const auto whole = static_cast<double>(config.batch);
  config.batch = std::min(config.batch, kProbeSamples);
  const auto source = data.train(config, *trials[0].session.learner);
  source->start_epoch(0);
  const data::Batch small = *source->next();
  const double share = whole / static_cast<double>(config.batch);
  double fp32 = 0;
  for (Trial& trial : trials) {
    double milliseconds = run_step(trial, small);
    if (trial.seconds < 1)
      milliseconds = run_step(trial, small);  // without the first call's set-up
    if (&trial == &trials[0]) fp32 = milliseconds;
    if (milliseconds <= kHopeless * fp32) continue;
    trial.candidate.measured = false;
    trial.candidate.step_ms = milliseconds * share;
  }
}

void measure(std::vector<Trial>& trials, data::BatchSource& source) {
  for (int step = 0; step < kWarmSteps + kTimedSteps; ++step) {
    const auto batch = source.next();
    if (!batch) break;
    for (std::size_t i = 0; i < trials.size(); ++i) {
      Trial& trial = trials[(i + static_cast<std::size_t>(step)) % trials.size()];
      if (!trial.candidate.measured || !trial.candidate.finite) continue;
      if (trial.seconds > kSecondsAtMost && trial.latency.count() > 0) continue;
      const double milliseconds = run_step(trial, *batch);
      if (step >= kWarmSteps || trial.seconds > kSecondsAtMost) trial.latency.add(milliseconds);
    }
  }
  for (Trial& trial : trials) {
    if (trial.candidate.measured) trial.candidate.step_ms = trial.latency.median();
    trial.candidate.finite &= trial.last_applied;
  }
}

std::string describe(const Candidate& candidate) {
  char text[96];
  std::snprintf(text, sizeof text, "%s %s%.*f ms%s", candidate.name.c_str(),
                candidate.measured ? "" : "about ", candidate.step_ms < 100 ? 1 : 0,
                candidate.step_ms, candidate.finite ? "" : " and not finite");
  return text;
}

}  // namespace

PrecisionChoice choose_from(std::vector<Candidate> candidates, bool mixed_only) {
  const Candidate* chosen = nullptr;
  for (std::size_t i = mixed_only ? 1 : 0; i < candidates.size(); ++i) {
    const Candidate& each = candidates[i];
    if (each.finite && (!chosen || each.step_ms < chosen->step_ms)) chosen = &each;
  }
  if (!chosen) {
    throw Error("no half format stayed finite in the first steps", "a smaller --lr",
                "--precision auto");
  }
  PrecisionChoice choice;
  choice.policy = Policy::preset(chosen->name);
  std::string times;
  for (const auto& each : candidates) times += (times.empty() ? "" : ", ") + describe(each);
  choice.reason = "precision " + chosen->name + ", measured per step: " + times;
  if (mixed_only && chosen->step_ms >= candidates[0].step_ms) {
    choice.reason += "; no half format is faster than fp32 on this machine";
  }
  choice.candidates = std::move(candidates);
  return choice;
}

PrecisionChoice choose_precision(const RunConfig& config, const TaskData& data, bool mixed_only,
                                 const std::function<void()>& begin) {
  std::vector<Trial> trials;
  for (const char* name : {"fp32", "bf16", "fp16"}) {
    trials.push_back(make_trial(name, config, data));
  }
  if (begin) begin();
  probe(trials, config, data);
  data::BatchSource& source = *trials[0].session.train;
  source.start_epoch(0);
  measure(trials, source);
  std::vector<Candidate> candidates;
  for (const Trial& trial : trials) candidates.push_back(trial.candidate);
  return choose_from(std::move(candidates), mixed_only);
}

}  // namespace halftone::tasks
