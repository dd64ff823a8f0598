// Reinforcement learning on vectors: DQN and PPO, measured by the mean return of 100 episodes.
#include <string>

#include "halftone/base/error.h"
#include "halftone/data/batch_builder.h"
#include "halftone/data/environment.h"
#include "halftone/data/episodes.h"
#include "halftone/tasks/control_learner.h"
#include "halftone/tasks/loaders.h"
#include "halftone/tasks/played_source.h"
#include "halftone/tasks/task.h"

namespace halftone::tasks {
namespace {

constexpr std::int64_t kEpisodes = 100;
// Of the episodes that choose the best weights, and of those that eval judges by. A run's own
// episodes have its --seed, which is below 2^63.
constexpr std::uint64_t kEvaluationSeed = ~std::uint64_t{0}, kTestSeed = ~std::uint64_t{1};

class FirstStates : public data::BatchBuilder {
 public:
  FirstStates(const data::Environment& environment, std::uint64_t seed)
      : states_(data::first_states(environment, kEpisodes, seed)) {}
  std::int64_t size() const override { return kEpisodes; }
  data::Batch build(std::span<const std::int64_t> indices, std::int64_t,
                    std::uint64_t) const override {
    std::vector<at::Tensor> rows;
    for (const std::int64_t index : indices) rows.push_back(states_[index]);
    return {.input = at::stack(rows), .indices = {indices.begin(), indices.end()}};
  }

 private:
  at::Tensor states_;
};

class ControlData : public TaskData {
 public:
  explicit ControlData(const data::Environment& environment) : environment_(environment) {}

  std::shared_ptr<data::BatchSource> train(const RunConfig& config,
                                           Learner& learner) const override {
    auto& agent = dynamic_cast<ControlLearner&>(learner);
    return config.model == "ppo" ? ppo_source(agent, config) : dqn_source(agent, config);
  }
  bool plays() const override { return true; }
  std::shared_ptr<data::BatchSource> evaluation(std::int64_t batch, Learner&) const override {
    return evaluation_loader(std::make_shared<FirstStates>(environment_, kEvaluationSeed), batch);
  }
  std::shared_ptr<data::BatchSource> test(std::int64_t batch, Learner&) const override {
    return evaluation_loader(std::make_shared<FirstStates>(environment_, kTestSeed), batch);
  }

 private:
  const data::Environment& environment_;
};

// What one task differs by from another.
struct ControlFacts {
  std::string name, summary;
  const data::Environment& environment;
  std::int64_t ppo_epochs, dqn_epochs;
};

class ControlTask : public Task {
 public:
  explicit ControlTask(const ControlFacts& own)
      : own_(own),
        facts_{.name = own.name,
               .summary = "reinforcement learning: " + own.summary,
               .noun = "transitions",
               .evaluation_noun = "episodes",
               .models = {"ppo", "dqn"},
               .source = "none: the environment is computed",
               .time = "about half a minute (two cores)"} {}

  const TaskFacts& facts() const override { return facts_; }
  TaskDefaults defaults(const std::string& model) const override {
    Recipe recipe{.optimizer = OptimizerKind::adamw,
                  .clip_norm = 0.5,
                  .schedule = ScheduleKind::warm_up_cosine};
    if (model == "ppo") return {own_.ppo_epochs, 256, 1e-3, 0, recipe};
    recipe.clip_norm = {};
    recipe.min_factor = 1;  // a constant rate
    return {own_.dqn_epochs, 128, 2.5e-4, 0, recipe};
  }

  std::filesystem::path find_data() const override { return {}; }
  std::shared_ptr<const TaskData> open(const std::filesystem::path& data,
                                       const OpenOptions&) const override {
    if (data.empty()) return std::make_shared<ControlData>(own_.environment);
    throw UsageError("--data " + data.string() + " for " + name(),
                     "no --data: the task plays in an environment of its own", "");
  }
  std::shared_ptr<Learner> learner(const RunConfig& config, const Assets&) const override {
    const data::Environment& environment = own_.environment;
    return std::make_shared<ControlLearner>(
        environment, models::make_control({.name = config.model,
                                           .observation = environment.observation_size(),
                                           .actions = environment.actions(),
                                           .seed = config.seed,
                                           .init = config.policy.init}));
  }

 private:
  ControlFacts own_;
  TaskFacts facts_;
};

}  // namespace

const Task& cartpole_task() {
  static const ControlTask task({.name = "cartpole",
                                 .summary = "a cart balances a pole, for 500 steps at most "
                                            "(Gymnasium's CartPole-v1)",
                                 .environment = data::cart_pole(),
                                 .ppo_epochs = 15,
                                 .dqn_epochs = 20});
  return task;
}

const Task& acrobot_task() {
  static const ControlTask task({.name = "acrobot",
                                 .summary = "two links that hang swing up, in 500 steps at most "
                                            "(Gymnasium's Acrobot-v1)",
                                 .environment = data::acrobot(),
                                 .ppo_epochs = 25,
                                 .dqn_epochs = 20});
  return task;
}

}  // namespace halftone::tasks
