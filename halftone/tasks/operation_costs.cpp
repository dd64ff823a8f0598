#include "halftone/tasks/operation_costs.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/numerics/operation_watch.h"

namespace halftone::tasks {
namespace {

using numerics::HalfCost;
using numerics::LoweredOperation;
using numerics::OperationCosts;
using numerics::OperationTime;
using numerics::OperationTimer;

// One operation's times in one format, turn by turn.
struct OperationTurns {
  metrics::Latency forward, backward, both;

  void add(const OperationTime& time) {
    forward.add(time.forward_ms);
    backward.add(time.backward_ms);
    both.add(time.ms());
  }
  OperationTime median() const { return {forward.median(), backward.median()}; }
};

// A format's trial with every operation watched.
struct WatchedTrial {
  Format format;
  PrecisionTrial trial;
  std::shared_ptr<OperationTimer> timer;
  std::map<std::string, OperationTurns> turns{};

  void step(const data::Batch& batch, bool counted) {
    timer->begin_step();
    double milliseconds = 0;
    {
      const numerics::OperationWatch watch(timer);
      milliseconds = run_step(trial, batch);
      watch.rethrow();
    }
    if (!counted || !trial.finite) return;
    trial.step_ms.add(milliseconds);
    for (std::size_t i = 0; i < timer->operations().size(); ++i) {
      turns[timer->operations()[i].name()].add(timer->times()[i]);
    }
  }
};

WatchedTrial watched_trial(Format format, const RunConfig& config, const TaskData& data) {
  PrecisionTrial trial = make_trial(Policy::preset(format_name(format)), config, data);
  auto timer = std::make_shared<OperationTimer>(*trial.session.learner->module());
  return {format, std::move(trial), std::move(timer)};
}

OperationCosts costs_of(const LoweredOperation& operation,
                        const std::vector<WatchedTrial>& trials) {
  OperationCosts costs;
  costs.operation = operation;
  const OperationTurns& fp32 = trials[0].turns.at(operation.name());
  costs.fp32 = fp32.median();
  for (std::size_t i = 1; i < trials.size(); ++i) {
    const auto half = trials[i].turns.find(operation.name());
    if (half == trials[i].turns.end()) continue;
    HalfCost cost;
    cost.format = trials[i].format;
    cost.time = half->second.median();
    cost.speedup = speedup_of(fp32.both, half->second.both);
    costs.half.push_back(cost);
  }
  return costs;
}

}  // namespace

TimedOperations time_operations(const RunConfig& config, const TaskData& data,
                                const std::vector<Format>& half,
                                const std::vector<data::Batch>& batches) {
  std::vector<WatchedTrial> trials;
  trials.push_back(watched_trial(Format::fp32, config, data));
  for (const Format format : half) trials.push_back(watched_trial(format, config, data));
  take_turns(trials, batches, config.seed,
             [](WatchedTrial& trial, const data::Batch& batch, bool counted) {
               trial.step(batch, counted);
             });
  WatchedTrial& fp32 = trials[0];
  if (!fp32.trial.finite) {
    throw Error("a loss in fp32 that is not finite", "a finite one: another --seed or --batch",
                "advise");
  }
  TimedOperations result;
  for (const LoweredOperation& operation : fp32.timer->operations()) {
    result.costs.push_back(costs_of(operation, trials));
  }
  result.fp32_step_ms = fp32.trial.step_ms.median();
  result.fp32 = std::move(fp32.trial.session);
  return result;
}

std::vector<LoweredOperation> operations_of_small_step(PrecisionTrial& trial,
                                                       const RunConfig& config,
                                                       const TaskData& data) {
  const auto timer = std::make_shared<OperationTimer>(*trial.session.learner->module());
  timer->begin_step();
  const data::Batch batch = small_batch(*trial.session.learner, config, data);
  const numerics::OperationWatch watch(timer);
  run_step(trial, batch);
  watch.rethrow();
  return timer->operations();
}

numerics::Speedup speedup_of(const metrics::Latency& fp32, const metrics::Latency& other) {
  metrics::Latency ratios;
  for (std::size_t i = 0; i < std::min(fp32.count(), other.count()); ++i) {
    if (other.values()[i] > 0) ratios.add(fp32.values()[i] / other.values()[i]);
  }
  if (ratios.count() == 0) return {};
  return {ratios.median(), ratios.percentile(25), ratios.percentile(75)};
}

}  // namespace halftone::tasks
