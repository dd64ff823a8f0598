#include "halftone/tasks/control_task.h"

#include "halftone/base/error.h"
#include "halftone/data/batch_builder.h"
#include "halftone/data/episodes.h"
#include "halftone/tasks/control_learner.h"
#include "halftone/tasks/loaders.h"
#include "halftone/tasks/played_source.h"

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

}  // namespace

std::shared_ptr<const TaskData> ControlTask::open(const std::filesystem::path& data) const {
  if (!data.empty()) {
    throw UsageError("--data " + data.string() + " for " + name(),
                     "no --data: the task plays in an environment of its own", "");
  }
  return std::make_shared<ControlData>(environment());
}

std::shared_ptr<Learner> ControlTask::learner(const RunConfig& config, const Assets&) const {
  return std::make_shared<ControlLearner>(
      environment(), models::make_control({.name = config.model,
                                           .observation = environment().observation_size(),
                                           .actions = environment().actions(),
                                           .seed = config.seed,
                                           .init = config.policy.init}));
}

}  // namespace halftone::tasks
