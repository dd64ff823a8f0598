#include "halftone/tasks/time_budget.h"

#include <algorithm>
#include <cmath>

#include "halftone/base/error.h"
#include "halftone/tasks/precision_trial.h"

namespace halftone::tasks {
namespace {

constexpr std::size_t kBudgetTurns = 9;
constexpr double kLongestTrial = 20;  // seconds
constexpr double kMostEpochs = 1e6;

}  // namespace

std::int64_t whole_epochs(double seconds, double pair_ms, std::int64_t batches) {
  const double epoch = pair_ms / 1e3 * static_cast<double>(std::max<std::int64_t>(batches, 1));
  return static_cast<std::int64_t>(std::clamp(std::round(seconds / epoch), 1.0, kMostEpochs));
}

std::int64_t epochs_within(double seconds, const RunConfig& config, const TaskData& data) {
  std::vector<PrecisionTrial> trials;
  trials.push_back(make_trial(Policy::preset("fp32"), config, data));
  trials.push_back(make_trial(config.policy, config, data));
  time_steps(trials, kBudgetTurns, kLongestTrial, config.seed);
  for (const PrecisionTrial& trial : trials) {
    if (!trial.finite) throw Error("the loss is not finite", "a smaller --lr", trial.name);
  }
  return whole_epochs(seconds, trials[0].step_ms.median() + trials[1].step_ms.median(),
                      trials[0].session.train->batches());
}

}  // namespace halftone::tasks
