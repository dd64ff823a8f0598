#include "halftone/tasks/advise.h"

#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/numerics/format_speed.h"
#include "halftone/tasks/operation_costs.h"
#include "halftone/tasks/precision_trial.h"
#include "halftone/train/evaluation.h"

namespace halftone::tasks {
namespace {

using numerics::HalfCost;
using numerics::LoweredOperation;
using numerics::OperationCosts;
using numerics::PrecisionAdvice;
using numerics::PrecisionProbe;

constexpr std::size_t kTurns = kUncountedTurns + 9;
// Whole steps that are short are noisy, and cheap: as many turns as fit, up to so many.
constexpr double kVerifyMs = 6000;
constexpr std::size_t kMostTurns = 60;
constexpr std::int64_t kErrorSamples = 32;
// Times as fast: what half must gain in a whole step, and what more than a uniform policy must.
constexpr double kHalfWorthwhile = 1.03, kMoreWorthwhile = numerics::kWorthwhile;
constexpr double kNoiseShare = 0.5, kSmallestBound = 0.01;  // see AdviseOptions::max_error
constexpr int kTightenings = 4;
constexpr double kSteady = 0.5;  // see TaskAdvice::steady()

class Advisor {
 public:
  Advisor(const RunConfig& config, const TaskData& data, const AdviseOptions& options)
      : config_(config), data_(data), options_(options) {}

  TaskAdvice run() {
    result_.config = config_;
    result_.machine = numerics::this_machine();
    formats_ = find_formats();
    time_each();
    mark_kept();
    measure_errors();
    verify();
    result_.chosen = choose_arm(result_.arms, result_.max_error);
    result_.config.policy = result_.arm().advice.policy;
    result_.reason = reason();
    return std::move(result_);
  }

 private:
  void tell(const std::string& line) const {
    if (options_.progress) options_.progress(line);
  }

  // Those of the options that a small step does not show to be far too slow.
  std::vector<Format> find_formats() {
    std::vector<PrecisionTrial> trials;
    trials.push_back(make_trial(Policy::preset("fp32"), config_, data_));
    for (const Format format : options_.formats) {
      trials.push_back(make_trial(Policy::preset(format_name(format)), config_, data_));
    }
    if (!options_.keep.empty()) {  // before minutes are spent
      find_kept(operations_of_small_step(trials[0], config_, data_));
    }
    tell("a small step in each format");
    probe(trials, config_, data_);
    for (std::size_t i = 0; i < kTurns; ++i) {
      batches_.push_back(next_batch(*trials[0].session.train));
    }
    std::vector<Format> formats;
    for (std::size_t i = 0; i < options_.formats.size(); ++i) {
      if (trials[i + 1].hopeless) {
        result_.hopeless.push_back(trials[i + 1].name);
      } else {
        formats.push_back(options_.formats[i]);
      }
    }
    return formats;
  }

  void time_each() {
    tell("timing every operation, " + std::to_string(batches_.size()) + " steps in each format");
    TimedOperations timed = time_operations(config_, data_, formats_, batches_);
    result_.costs = std::move(timed.costs);
    step_ms_ = timed.fp32_step_ms;
    fp32_ = std::move(timed.fp32);
  }

  std::vector<LoweredOperation> operations() const {
    std::vector<LoweredOperation> list;
    for (const OperationCosts& each : result_.costs) list.push_back(each.operation);
    return list;
  }

  void mark_kept() {
    const auto kept = find_kept(operations());
    for (std::size_t i = 0; i < kept.size(); ++i) result_.costs[i].keep = kept[i];
  }

  // By operation: whether a glob of options.keep matches it.
  std::vector<bool> find_kept(const std::vector<LoweredOperation>& list) const {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < list.size(); ++i) names.push_back(numerics::rule_name(list, i));
    std::vector<bool> kept(list.size());
    for (const std::string& glob : options_.keep) {
      bool found = false;
      for (std::size_t i = 0; i < list.size(); ++i) {
        if (!glob_match(glob, names[i]) && !glob_match(glob, list[i].name()) &&
            !glob_match(glob, list[i].operation)) {
          continue;
        }
        kept[i] = found = true;
      }
      if (!found) throw UsageError(quote(glob), choices(glob, names), "--keep");
    }
    return kept;
  }

  void measure_errors() {
    RunConfig config = config_;
    config.batch = std::min(config.batch, kErrorSamples);
    const auto source = data_.train(config, *fp32_.learner);
    source->start_epoch(1);  // another order than that of the steps before
    for (std::int64_t i = 0; i < options_.batches; ++i) {
      error_batches_.push_back(next_batch(*source));
    }
    torch::nn::Module& module = *fp32_.learner->module();
    module.train();
    torch::manual_seed(config_.seed);
    probe_ = std::make_unique<PrecisionProbe>(
        module, error_batches_.size(), [this, &module](std::size_t i) {
          return fp32_.learner->loss(on_device(error_batches_[i], device_of(module), Format::fp32));
        });
    result_.batch_noise = probe_->batch_noise();
    result_.max_error =
        options_.max_error.value_or(std::max(kSmallestBound, kNoiseShare * result_.batch_noise));
    const auto list = operations();
    tell("accuracy of " + std::to_string(list.size()) + " operations, each lowered alone, on " +
         std::to_string(options_.batches) + " batches of " + std::to_string(config.batch));
    for (std::size_t i = 0; i < list.size(); ++i) {
      for (HalfCost& cost : result_.costs[i].half) {
        cost.error = error_of(numerics::lowered_alone(list, i, cost.format));
      }
    }
  }

  // fp16's scale is found once, for a network that is all in it.
  double loss_scale(const Policy& policy) {
    if (policy.loss_scale.kind == LossScaling::none) return 1;
    if (!scale_) scale_ = probe_->find_loss_scale(Policy::preset("fp16"), policy.loss_scale.init);
    return std::max(1.0, *scale_);
  }

  numerics::PrecisionError error_of(const Policy& policy) {
    return probe_->measure(policy, loss_scale(policy));
  }

  void add_arm(PrecisionAdvice advice) {
    AdviceArm arm;
    arm.error = advice.policy.compute == Format::fp32 ? numerics::PrecisionError{}
                                                      : error_of(advice.policy);
    if (advice.policy.loss_scale.kind != LossScaling::none) {
      advice.policy.loss_scale.init = loss_scale(advice.policy);
    }
    arm.advice = std::move(advice);
    result_.arms.push_back(std::move(arm));
  }

  // Errors that are not independent add up to more than predicted.
  PrecisionAdvice choose_within_bound(numerics::PrecisionAdviceOptions options) {
    for (int i = 0; i < kTightenings; ++i) {
      PrecisionAdvice advice = numerics::choose_policy(result_.costs, options);
      if (advice.policy.compute == Format::fp32) return advice;
      const double measured = error_of(advice.policy).gradient;
      if (measured <= result_.max_error) return advice;
      options.max_error = std::min(options.max_error, advice.error) *
                          (std::isfinite(measured) ? result_.max_error / measured : 0.5);
    }
    return numerics::uniform_policy(result_.costs, Format::fp32, options);
  }

  void note_shared(Format format, const AdviceArm& uniform) {
    if (!std::isfinite(uniform.error.gradient) || !(uniform.advice.error > 0)) return;
    for (OperationCosts& costs : result_.costs) {
      for (HalfCost& half : costs.half) {
        if (half.format == format) half.shared = uniform.error.gradient / uniform.advice.error;
      }
    }
  }

  void add_arms() {
    const numerics::PrecisionAdviceOptions options{.max_error = result_.max_error,
                                                   .step_ms = step_ms_};
    add_arm(numerics::uniform_policy(result_.costs, Format::fp32, options));
    if (result_.costs.empty()) return;
    for (const Format format : formats_) {
      add_arm(numerics::uniform_policy(result_.costs, format, options));
      note_shared(format, result_.arms.back());
    }
    PrecisionAdvice chosen = choose_within_bound(options);
    const bool known = std::any_of(result_.arms.begin(), result_.arms.end(), [&](const auto& arm) {
      return arm.advice.policy.compute == chosen.policy.compute &&
             arm.advice.policy.modules == chosen.policy.modules &&
             arm.advice.policy.operations == chosen.policy.operations;
    });
    if (!known) add_arm(std::move(chosen));
    add_arm_with_masters();
  }

  // The arm that promises most, with weights stored in its half format: they are not cast at every
  // step. Its error is that of the arm: the weights are rounded alike, and rounding the gradients
  // of weights once more is less than anything else there.
  void add_arm_with_masters() {
    const AdviceArm* best = &result_.arms[0];
    for (const AdviceArm& arm : result_.arms) {
      const bool allowed = arm.error.gradient <= result_.max_error;
      if (allowed && arm.advice.ms < best->advice.ms) best = &arm;
    }
    if (best == &result_.arms[0]) return;
    AdviceArm arm = *best;
    Policy& policy = arm.advice.policy;
    policy.weights = WeightStorage::half_master;
    policy.gradients = policy.compute;
    policy.name += "-master";
    result_.arms.push_back(std::move(arm));
  }

  std::size_t verifying_turns() const {
    const double turn_ms = std::max(1.0, step_ms_) * static_cast<double>(result_.arms.size());
    return std::clamp(static_cast<std::size_t>(kVerifyMs / turn_ms), kTurns, kMostTurns);
  }

  void verify() {
    add_arms();
    probe_.reset();
    fp32_ = {};
    std::vector<PrecisionTrial> trials;
    std::string names;
    for (const AdviceArm& arm : result_.arms) {
      trials.push_back(make_trial(arm.advice.policy, config_, data_));
      names += (names.empty() ? "" : ", ") + arm.name();
    }
    const std::size_t turns = verifying_turns();
    for (std::size_t i = kTurns; i < turns; ++i) batches_.push_back(batches_[i - kTurns]);
    tell("verifying, " + std::to_string(turns) + " steps in turns: " + names);
    take_turns(trials, batches_, config_.seed,
               [](PrecisionTrial& trial, const data::Batch& batch, bool counted) {
                 if (!trial.finite) return;
                 const double milliseconds = run_step(trial, batch);
                 if (counted && trial.finite) trial.step_ms.add(milliseconds);
               });
    for (std::size_t i = 0; i < trials.size(); ++i) {
      AdviceArm& arm = result_.arms[i];
      arm.step_ms = trials[i].step_ms;
      arm.loss = trials[i].loss.mean();
      arm.finite = trials[i].finite && trials[i].last_applied;
      arm.speedup = speedup_of(trials[0].step_ms, arm.step_ms);
    }
  }

  std::string reason() const {
    const AdviceArm& arm = result_.arm();
    if (result_.costs.empty()) return "fp32: the network has no operation that a policy lowers";
    if (formats_.empty()) return "fp32: the half formats are far slower here";
    const double step = arm.step_ms.median();
    char text[240];
    if (arm.advice.policy.compute == Format::fp32) {
      const bool within = std::any_of(
          result_.arms.begin() + 1, result_.arms.end(),
          [&](auto& each) { return each.finite && each.error.gradient <= result_.max_error; });
      std::snprintf(text, sizeof text, "fp32, %.4g ms a step: no half format is %s", step,
                    within ? "faster here" : "within the bound");
      return text;
    }
    std::snprintf(text, sizeof text,
                  "%s, %.2f times as fast as fp32 (%.4g against %.4g ms a step); gradient error "
                  "%.2g %%, bound %.2g %%",
                  arm.name().c_str(), arm.speedup.median, step, result_.arms[0].step_ms.median(),
                  100 * arm.error.gradient, 100 * result_.max_error);
    return text;
  }

  RunConfig config_;
  const TaskData& data_;
  const AdviseOptions& options_;
  TaskAdvice result_;
  std::vector<data::Batch> batches_, error_batches_;
  std::vector<Format> formats_;  // half ones that are measured
  double step_ms_ = 0;           // of fp32, watched
  Session fp32_;
  std::unique_ptr<PrecisionProbe> probe_;
  std::optional<double> scale_;
};

}  // namespace

std::size_t choose_arm(const std::vector<AdviceArm>& arms, double max_error) {
  const auto allowed = [&](const AdviceArm& arm) {
    return arm.finite && arm.error.gradient <= max_error;
  };
  std::size_t fastest = 0;
  for (std::size_t i = 1; i < arms.size(); ++i) {
    if (allowed(arms[i]) && arms[i].speedup.median > arms[fastest].speedup.median) fastest = i;
  }
  for (std::size_t i = 0; i < fastest; ++i) {
    const bool beaten = speedup_of(arms[i].step_ms, arms[fastest].step_ms)
                            .faster(i == 0 ? kHalfWorthwhile : kMoreWorthwhile);
    if (allowed(arms[i]) && !beaten) return i;
  }
  return fastest;
}

std::vector<std::string> TaskAdvice::rivals() const {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < arms.size(); ++i) {
    if (i == chosen || !arms[i].finite || !(arms[i].error.gradient <= max_error)) continue;
    if (speedup_of(arms[i].step_ms, arm().step_ms).faster(numerics::kWorthwhile)) continue;
    names.push_back(arms[i].name());
  }
  return names;
}

bool TaskAdvice::steady() const {
  return std::all_of(arms.begin(), arms.end(), [](const AdviceArm& arm) {
    return arm.step_ms.iqr() <= kSteady * arm.step_ms.median();
  });
}

std::vector<std::string> TaskAdvice::in_noise() const {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < costs.size(); ++i) {
    if (arm().advice.operations[i].in_noise) names.push_back(costs[i].operation.name());
  }
  return names;
}

TaskAdvice advise(const RunConfig& config, const TaskData& data, const AdviseOptions& options) {
  if (options.max_error && !(*options.max_error > 0)) {
    throw UsageError(format_number(*options.max_error), "above 0", "advise, max_error");
  }
  if (options.batches < 2) {
    throw UsageError(std::to_string(options.batches), "2 or more", "advise, batches");
  }
  return Advisor(config, data, options).run();
}

}  // namespace halftone::tasks
