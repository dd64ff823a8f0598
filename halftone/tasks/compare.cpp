#include "halftone/tasks/compare.h"

#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "halftone/base/error.h"
#include "halftone/tasks/session.h"
#include "halftone/tasks/train_run.h"
#include "halftone/train/callbacks.h"
#include "halftone/train/checkpoint.h"
#include "halftone/train/signals.h"

namespace halftone::tasks {
namespace {

constexpr std::int64_t kEvaluations = 6;
constexpr std::int64_t kWarmSteps = 3;  // not counted: LibTorch sets its kernels up

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// One arm: its session, its directory, what it has shown so far.
class Arm {
 public:
  Arm(const RunConfig& config, const TaskData& data, std::filesystem::path out)
      : config_(config),
        out_(std::move(out)),
        session_(make_session(config, data)),
        logs_{std::make_unique<JsonlLog>(out_ / "metrics.jsonl"),
              std::make_unique<TensorBoardLog>(out_)} {
    result_.name = config.policy.name;
    result_.format = config.policy.compute;
    result_.loss.name = config.policy.name;
    result_.loss.markers = false;
    result_.metric = session_.learner->metrics().front();
    save_setting(config, data, out_);
  }

  data::BatchSource& source() { return *session_.train; }
  ArmResult& result() { return result_; }
  const std::filesystem::path& out() const { return out_; }

  void start(const RunInfo& info) {
    RunInfo own = info;
    own.policy = result_.name;
    for (auto& log : logs_) log->on_start(own);
  }

  void step(const data::Batch& batch, std::uint64_t seed) {
    torch::manual_seed(seed);
    const StepInfo info = [&] {
      try {
        return session_.trainer->step(batch);
      } catch (const Error& error) {
        throw Error(result_.name + " arm: " + error.what());
      }
    }();
    for (auto& log : logs_) log->on_step(info);
    result_.loss.x.push_back(static_cast<double>(info.step));
    result_.loss.y.push_back(info.loss);
    if (info.step <= kWarmSteps) return;
    result_.step_ms.add(info.step_ms);
  }

  void evaluate() {
    Evaluation evaluation = session_.trainer->evaluate();
    evaluation.best = result_.evaluations.empty() ||
                      metrics::better(result_.metric, evaluation.metric(result_.metric.name),
                                      result_.best_metric());
    for (auto& log : logs_) log->on_evaluation(evaluation);
    result_.evaluations.push_back(evaluation);
  }

  void finish(bool complete) {
    const double median = result_.step_ms.median();
    result_.samples_per_s = median > 0 ? static_cast<double>(config_.batch) / median * 1e3 : 0;
    result_.skipped_steps = session_.trainer->skipped_steps();
    result_.final_scale = session_.trainer->loss_scale();
    CheckpointStore store(out_ / "checkpoints", 1);
    store.prepare();
    store.clear();
    store.write(session_.trainer->steps(), session_.trainer->state_dict());
    if (complete) session_.trainer->save_weights(out_ / "weights.safetensors");
  }

 private:
  RunConfig config_;
  std::filesystem::path out_;
  Session session_;
  std::array<std::unique_ptr<Callback>, 2> logs_;
  ArmResult result_;
};

class Duel {
 public:
  Duel(const RunConfig& config, const TaskData& data, const CompareOptions& options)
      : options_(options),
        seed_(config.seed),
        fp32_(with_policy(config, Policy::preset("fp32")), data, options.out / "fp32"),
        mixed_(config, data, options.out / arm_directory(config.policy)),
        batches_(fp32_.source().batches()),
        total_(config.total_steps(batches_)) {
    RunInfo info;
    info.total_steps = total_;
    info.steps_per_epoch = batches_;
    info.epochs = config.total_epochs(batches_);
    fp32_.start(info);
    mixed_.start(info);
  }

  // Returns the signal that ended it, or 0.
  int run() {
    const SignalGuard signals;
    start_ = std::chrono::steady_clock::now();
    for (std::int64_t epoch = 0; step_ < total_; ++epoch) {
      fp32_.source().start_epoch(epoch);
      while (step_ < total_) {
        const auto batch = fp32_.source().next();
        if (!batch) break;
        step_pair(*batch);
        if (SignalGuard::caught()) return SignalGuard::caught();
      }
    }
    return 0;
  }

  Comparison finish(const RunConfig& config, int signal) {
    Comparison comparison;
    comparison.config = config;
    comparison.signal = signal;
    comparison.steps = step_;
    comparison.training_seconds = seconds_since(start_);
    for (Arm* arm : {&fp32_, &mixed_}) {
      arm->finish(signal == 0);
      if (options_.measure_memory && !signal) {
        arm->result().memory = options_.measure_memory(arm->out());
      }
    }
    comparison.fp32 = fp32_.result();
    comparison.mixed = mixed_.result();
    return comparison;
  }

 private:
  static RunConfig with_policy(RunConfig config, Policy policy) {
    config.policy = std::move(policy);
    return config;
  }
  static std::string arm_directory(const Policy& policy) {
    return policy.name == "fp32" ? "fp32-again" : policy.name;
  }

  void step_pair(const data::Batch& batch) {
    ++step_;
    const std::uint64_t seed = seed_ + static_cast<std::uint64_t>(step_);
    std::array<Arm*, 2> order{&fp32_, &mixed_};
    if (step_ % 2 == 0) std::swap(order[0], order[1]);
    for (Arm* arm : order) arm->step(batch, seed);
    const bool evaluate = evaluation_due();
    if (evaluate) {
      for (Arm* arm : order) arm->evaluate();
    }
    if (!options_.progress) return;
    options_.progress(
        {step_, total_, &fp32_.result(), &mixed_.result(), evaluate, seconds_since(start_)});
  }

  // After each sixth of the steps; after each step where there are fewer.
  bool evaluation_due() const {
    const std::int64_t count = std::min(kEvaluations, total_);
    return step_ * count / total_ > (step_ - 1) * count / total_;
  }

  const CompareOptions& options_;
  std::uint64_t seed_;
  Arm fp32_, mixed_;
  std::int64_t batches_, total_, step_ = 0;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace

Comparison compare(const RunConfig& config, const TaskData& data, const CompareOptions& options) {
  Duel duel(config, data, options);
  const int signal = duel.run();
  return duel.finish(config, signal);
}

}  // namespace halftone::tasks
