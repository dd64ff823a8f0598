// What the tests of single tasks share: 20 steps on a fixture in each precision, in one piece and
// interrupted; the loss of half logits.
#pragma once

#include <ATen/Parallel.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

#include "halftone/base/file.h"
#include "halftone/kernels/cross_entropy/cross_entropy.h"
#include "halftone/precision/autocast.h"
#include "halftone/tasks/session.h"
#include "halftone/tasks/train_run.h"
#include "tests/ops/override_support.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::tasks {

inline RunConfig task_config(const std::string& task, const std::string& preset,
                             const std::string& model = "") {
  at::set_num_threads(1);  // steps this small only lose by a second thread
  const Task& found = find_task(task);
  RunConfig config;
  config.task = task;
  config.model = model.empty() ? found.default_model() : model;
  config.steps = 20;
  config.batch = 8;
  config.lr = found.defaults(config.model).lr;
  config.weight_decay = found.defaults(config.model).weight_decay;
  config.precision = preset;
  config.policy = Policy::preset(preset);
  return config;
}

// Trains config.steps steps; the evaluation loss falls by the factor `below` at least, and the
// metrics are there.
inline void expect_learns(const RunConfig& config, const TaskData& data, double below) {
  SCOPED_TRACE(config.policy.name);
  const OverrideTest on;  // as on the command line; LibTorch's fp16 convolutions take seconds
  Session session = make_session(config, data);
  const Evaluation before = session.trainer->evaluate();
  const TrainResult result = session.trainer->run();
  EXPECT_EQ(result.steps, config.steps);
  EXPECT_LT(result.last.loss, below * before.loss);
  const auto kinds = session.learner->metrics();
  ASSERT_EQ(result.last.metrics.size(), kinds.size());
  EXPECT_TRUE(metrics::better(kinds[0], result.last.metrics[0].value, before.metrics[0].value))
      << kinds[0].name << " " << before.metrics[0].value << " to " << result.last.metrics[0].value;
}

class AtStep : public Callback {
 public:
  AtStep(std::int64_t step, std::function<void()> act) : step_(step), act_(std::move(act)) {}
  void on_step(const StepInfo& info) override {
    if (info.step == step_) act_();
  }

 private:
  std::int64_t step_;
  std::function<void()> act_;
};

// Trains in a process of its own, which SIGKILL ends after `step`.
inline void train_until_killed(const RunConfig& config, const TaskData& data, std::int64_t step,
                               const std::filesystem::path& out) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(100);  // rather than hang
    const auto die = std::make_shared<AtStep>(step, [] { kill(getpid(), SIGKILL); });
    try {
      train_run(config, data, {.out = out, .callbacks = {die}});
    } catch (...) {
    }
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
}

// A run that SIGINT ends and one that SIGKILL ends between two checkpoints, each resumed, come to
// the bits of a run in one piece.
inline void expect_same_when_resumed(RunConfig config, const TaskData& data) {
  SCOPED_TRACE(config.policy.name);
  const OverrideTest on;
  config.checkpoint_every = 5;
  const Scratch whole, interrupted, killed;
  train_run(config, data, {.out = whole.path(), .callbacks = {}});
  const std::string expected = read_file(whole / "weights.safetensors");

  const auto interrupt = std::make_shared<AtStep>(7, [] { raise(SIGINT); });
  const TrainResult stopped =
      train_run(config, data, {.out = interrupted.path(), .callbacks = {interrupt}});
  EXPECT_EQ(stopped.signal, SIGINT);
  EXPECT_EQ(stopped.steps, 7);
  train_until_killed(config, data, 13, killed.path());
  for (const Scratch* out : {&interrupted, &killed}) {
    EXPECT_FALSE(std::filesystem::exists(*out / "weights.safetensors"));
    const TrainResult rest =
        train_run(config, data, {.out = out->path(), .resume = true, .callbacks = {}});
    EXPECT_EQ(rest.steps, config.steps);
    EXPECT_TRUE(read_file(*out / "weights.safetensors") == expected)
        << (out == &killed ? "after a kill" : "after an interrupt");
  }
}

// The loss of a batch reads half logits (ops/cross_entropy.h) and is that of their fp32 copies.
inline void expect_loss_of_half_logits(const RunConfig& config, const TaskData& data) {
  SCOPED_TRACE(config.policy.name);
  const OverrideTest on;
  Session session = make_session(config, data);
  session.learner->module()->eval();  // no dropout
  session.train->start_epoch(0);
  const data::Batch batch = *session.train->next();
  const auto loss_under = [&](const Policy& policy) {
    const Autocast autocast(policy);
    return session.learner->loss(batch);
  };
  Policy cast = config.policy;
  cast.operations = {{"cross_entropy_loss", Format::fp32}};
  const double expected = loss_under(cast).item<double>();
  const auto runs = total_runs(kernels::cross_entropy_ladder());
  const at::Tensor loss = loss_under(config.policy);
  EXPECT_GT(total_runs(kernels::cross_entropy_ladder()), runs);
  EXPECT_EQ(loss.scalar_type(), at::kFloat);
  EXPECT_NEAR(loss.item<double>(), expected, tolerance::kFp32 * expected);
}

}  // namespace halftone::tasks
