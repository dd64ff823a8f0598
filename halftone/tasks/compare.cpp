#include "halftone/tasks/compare.h"

#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <span>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/log.h"
#include "halftone/tasks/compare_report.h"
#include "halftone/tasks/lockstep_run.h"
#include "halftone/tasks/session.h"
#include "halftone/tasks/train_run.h"
#include "halftone/train/callbacks.h"
#include "halftone/train/checkpoint.h"
#include "halftone/train/signals.h"
#include "halftone/train/weights.h"

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
      : out_(std::move(out)),
        session_(make_session(config, data)),
        logs_{std::make_unique<JsonlLog>(out_ / "metrics.jsonl"),
              std::make_unique<TensorBoardLog>(out_)} {
    result_.name = config.policy.name.empty() ? out_.filename().string() : config.policy.name;
    result_.format = config.policy.compute;
    result_.loss.name = result_.name;
    result_.loss.markers = false;
    result_.metric = session_.learner->metrics().front();
  }

  Learner& learner() { return *session_.learner; }
  data::BatchSource& source() { return *session_.train; }
  ArmResult& result() { return result_; }
  const std::filesystem::path& out() const { return out_; }

  void start(const RunInfo& info) {
    RunInfo own = info;
    own.policy = result_.name;
    for (auto& log : logs_) log->on_start(own);
  }

  void step(std::span<const data::Batch> batches, std::int64_t epoch, std::uint64_t seed) {
    torch::manual_seed(seed);
    StepInfo info = [&] {
      try {
        return session_.trainer->step(batches);
      } catch (const Error& error) {
        throw Error(result_.name + " arm: " + error.what());
      }
    }();
    info.epoch = epoch;
    for (auto& log : logs_) log->on_step(info);
    result_.loss.x.push_back(static_cast<double>(info.step));
    result_.loss.y.push_back(info.loss);
    if (info.step <= kWarmSteps) return;
    result_.step_ms.add(info.step_ms);
  }

  void evaluate(std::int64_t epoch) {
    Evaluation evaluation = session_.trainer->evaluate();
    evaluation.epoch = epoch;
    evaluation.best = result_.evaluations.empty() ||
                      metrics::better(result_.metric, evaluation.metric(result_.metric.name),
                                      result_.best_metric());
    for (auto& log : logs_) log->on_evaluation(evaluation);
    result_.evaluations.push_back(evaluation);
  }

  void sum_up() {
    result_.skipped_steps = session_.trainer->skipped_steps();
    result_.final_scale = session_.trainer->loss_scale();
  }

  void save(bool complete) {
    CheckpointStore store(out_ / "checkpoints", 1);
    store.prepare();
    store.write(session_.trainer->steps(), session_.trainer->state_dict());
    if (complete) session_.trainer->save_weights(out_ / "weights.safetensors");
  }

 private:
  std::filesystem::path out_;
  Session session_;
  std::array<std::unique_ptr<Callback>, 2> logs_;
  ArmResult result_;
};

RunConfig with_policy(RunConfig config, Policy policy) {
  config.policy = std::move(policy);
  return config;
}

class Duel {
 public:
  Duel(const RunConfig& config, const TaskData& data, const CompareOptions& options)
      : options_(options),
        data_(data),
        config_(config),
        fp32_config_(with_policy(config, Policy::preset("fp32"))),
        fp32_(fp32_config_, data, options.out / "fp32"),
        mixed_(config_, data, options.out / arm_directory(config.policy.name)),
        own_batches_(data.plays()),
        batches_(fp32_.source().batches()),
        total_(config.total_steps(batches_)) {
    take_directories(data);
    RunInfo info;
    info.total_steps = total_;
    info.steps_per_epoch = config.steps_per_epoch(batches_);
    info.epochs = config.total_epochs(batches_);
    fp32_.start(info);
    mixed_.start(info);
  }

  // Returns at the end, or after the pair of steps in which a signal came.
  void run() {
    start_ = std::chrono::steady_clock::now();
    for (epoch_ = 0; step_ < total_; ++epoch_) {
      fp32_.source().start_epoch(epoch_);
      if (own_batches_) mixed_.source().start_epoch(epoch_);
      const bool last = (epoch_ + 1) * batches_ >= total_;
      for (Arm* arm : {&fp32_, &mixed_}) arm->learner().begin_epoch(epoch_, last);
      while (step_ < total_ && fp32_.source().position() < batches_) {
        step_pair();
        if (SignalGuard::caught()) return;
      }
    }
  }

  Comparison finish() {
    result_.config = config_;
    result_.choice = options_.choice;
    result_.own_batches = own_batches_;
    result_.steps = step_;
    result_.complete = step_ == total_;
    result_.training_seconds = seconds_since(start_);
    for (Arm* arm : {&fp32_, &mixed_}) arm->sum_up();
    if (result_.complete && options_.lockstep_batches > 0) attempt([&] { run_in_lockstep(); });
    report();
    for (Arm* arm : {&fp32_, &mixed_}) {
      attempt([&] { arm->save(result_.complete); });
    }
    if (result_.complete && options_.measure_memory) {
      for (Arm* arm : {&fp32_, &mixed_}) measure_memory(*arm);
      if (fp32_.result().memory || mixed_.result().memory) report();
    }
    result_.signal = SignalGuard::caught();
    return std::move(result_);
  }

 private:
  void take_directories(const TaskData& data) {
    const std::filesystem::path all[] = {options_.out, fp32_.out(), mixed_.out()};
    for (const auto& each : all) require_no_run(each, options_.overwrite);
    for (const auto& each : all) clear_run(each, options_.overwrite);
    config_.save(options_.out);
    save_setting(fp32_config_, data, fp32_.out());
    save_setting(config_, data, mixed_.out());
  }

  // An epoch's last may be smaller.
  std::vector<data::Batch> next_group(data::BatchSource& source) const {
    std::vector<data::Batch> group;
    while (static_cast<std::int64_t>(group.size()) < config_.accumulate &&
           source.position() < batches_) {
      group.push_back(*source.next());
    }
    return group;
  }

  // A set of examples gives both arms the same batches; an environment answers to each network.
  void step_pair() {
    const std::vector<data::Batch> fp32_batches = next_group(fp32_.source());
    const auto mixed_batches = own_batches_ ? next_group(mixed_.source()) : fp32_batches;
    ++step_;
    const std::uint64_t seed = config_.seed + static_cast<std::uint64_t>(step_);
    std::array<Arm*, 2> order{&fp32_, &mixed_};
    if (step_ % 2 == 0) std::swap(order[0], order[1]);
    for (Arm* arm : order) {
      arm->step(arm == &fp32_ ? fp32_batches : mixed_batches, epoch_, seed);
    }
    const bool evaluate = evaluation_due();
    if (evaluate) {
      for (Arm* arm : order) arm->evaluate(epoch_);
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

  // Keeps the reason of the first failure and goes on: the rest may still be saved.
  template <class Save>
  void attempt(Save save) {
    try {
      save();
    } catch (const std::exception& error) {
      if (result_.unsaved.empty()) result_.unsaved = error.what();
    }
  }

  void report() {
    result_.fp32 = fp32_.result();
    result_.mixed = mixed_.result();
    if (result_.complete) attempt([&] { write_compare_reports(result_, options_.out); });
  }

  // Both policies on weights that are alike, so that what differs is the policies' doing.
  void run_in_lockstep() {
    const auto mixed = make_learner(config_, run_assets(config_, data_));
    set_weights(*mixed->module(), named_weights(*fp32_.learner().module()), "lockstep");
    result_.lockstep =
        run_lockstep({fp32_.learner(), fp32_config_.policy}, {*mixed, config_.policy}, config_,
                     data_, options_.lockstep_batches);
  }

  void measure_memory(Arm& arm) {
    if (SignalGuard::caught()) return;
    try {
      arm.result().memory = options_.measure_memory(arm.out());
    } catch (const std::exception& error) {
      if (!SignalGuard::caught()) {
        warn("memory of the " + arm.result().name + " arm not measured: " + error.what());
      }
    }
  }

  const CompareOptions& options_;
  const TaskData& data_;
  RunConfig config_, fp32_config_;
  Arm fp32_, mixed_;
  bool own_batches_;
  std::int64_t batches_, total_, epoch_ = 0, step_ = 0;
  std::chrono::steady_clock::time_point start_;
  Comparison result_;
};

}  // namespace

std::string arm_directory(const std::string& policy_name) {
  constexpr std::size_t kLongest = 100;  // file systems take 255 bytes
  std::string name = policy_name.substr(0, kLongest);
  for (char& each : name) {
    const bool kept = (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') ||
                      (each >= '0' && each <= '9') || each == '-';
    if (!kept) each = '_';
  }
  if (name.empty()) return "mixed";
  return name == "fp32" || name == "checkpoints" ? name + "-again" : name;
}

Comparison compare(const RunConfig& config, const TaskData& data, const CompareOptions& options) {
  const SignalGuard signals;
  Duel duel(config, data, options);
  duel.run();
  return duel.finish();
}

}  // namespace halftone::tasks
