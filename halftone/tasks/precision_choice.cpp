#include "halftone/tasks/precision_choice.h"

#include <cstdio>

#include "halftone/base/error.h"
#include "halftone/tasks/precision_trial.h"

namespace halftone::tasks {
namespace {

constexpr std::size_t kTimedSteps = 7;
constexpr double kSecondsAtMost = 10;  // for a candidate's full steps

Candidate candidate_of(const PrecisionTrial& trial) {
  return {.name = trial.name,
          .step_ms = trial.hopeless.value_or(trial.step_ms.median()),
          .finite = trial.finite && trial.last_applied,
          .measured = !trial.hopeless};
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
  std::vector<PrecisionTrial> trials;
  for (const char* name : {"fp32", "bf16", "fp16"}) {
    trials.push_back(make_trial(Policy::preset(name), config, data));
  }
  if (begin) begin();
  probe(trials, config, data);
  time_steps(trials, kTimedSteps, kSecondsAtMost, config.seed);
  std::vector<Candidate> candidates;
  for (const PrecisionTrial& trial : trials) candidates.push_back(candidate_of(trial));
  return choose_from(std::move(candidates), mixed_only);
}

}  // namespace halftone::tasks
