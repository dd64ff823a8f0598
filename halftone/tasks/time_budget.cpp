#include "halftone/tasks/time_budget.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "halftone/metrics/latency.h"
#include "halftone/tasks/session.h"

namespace halftone::tasks {
namespace {

constexpr int kUntimedSteps = 2, kBudgetSteps = 9;
constexpr double kLongestTrial = 20;  // seconds
constexpr double kMostEpochs = 1e6;

}  // namespace

std::int64_t whole_epochs(double seconds, double pair_ms, std::int64_t batches) {
  const double epoch = pair_ms / 1e3 * static_cast<double>(std::max<std::int64_t>(batches, 1));
  return static_cast<std::int64_t>(std::clamp(std::round(seconds / epoch), 1.0, kMostEpochs));
}

std::int64_t epochs_within(double seconds, const RunConfig& config, const TaskData& data) {
  RunConfig fp32 = config;
  fp32.policy = Policy::preset("fp32");
  const Session sessions[] = {make_session(fp32, data), make_session(config, data)};
  data::BatchSource& source = *sessions[0].train;
  source.start_epoch(0);
  metrics::Latency pairs;
  const auto begin = std::chrono::steady_clock::now();
  const auto since = [](auto from) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
  };
  for (int step = 0; step < kUntimedSteps + kBudgetSteps; ++step) {
    const auto batch = source.next();
    if (!batch) break;
    const auto start = std::chrono::steady_clock::now();
    for (const Session& session : sessions) session.trainer->step(*batch);
    if (step >= kUntimedSteps || since(begin) > kLongestTrial) pairs.add(since(start) * 1e3);
    if (since(begin) > kLongestTrial) break;
  }
  if (pairs.count() == 0) pairs.add(since(begin) * 1e3);  // an epoch of one or two steps
  return whole_epochs(seconds, pairs.median(), source.batches());
}

}  // namespace halftone::tasks
