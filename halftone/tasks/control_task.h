// Reinforcement learning on vectors: DQN and PPO, measured by the mean return of 100 episodes. What
// its tasks share.
#pragma once

#include "halftone/data/environment.h"
#include "halftone/tasks/task.h"

namespace halftone::tasks {

class ControlTask : public Task {
 public:
  virtual const data::Environment& environment() const = 0;

  std::filesystem::path find_data() const override { return {}; }
  // Throws UsageError where data are given: there are none.
  std::shared_ptr<const TaskData> open(const std::filesystem::path& data) const override;
  std::shared_ptr<Learner> learner(const RunConfig& config, const Assets& assets) const override;
};

}  // namespace halftone::tasks
