// Acrobot: two links that hang swing up.
#include "halftone/tasks/control_task.h"

namespace halftone::tasks {
namespace {

class AcrobotTask : public ControlTask {
 public:
  const TaskFacts& facts() const override {
    static const TaskFacts facts{.name = "acrobot",
                                 .summary =
                                     "reinforcement learning: two links that hang swing up, "
                                     "in 500 steps at most (Gymnasium's Acrobot-v1)",
                                 .noun = "transitions",
                                 .evaluation_noun = "episodes",
                                 .models = {"ppo", "dqn"},
                                 .source = "none: the environment is computed",
                                 .time = "about half a minute (two cores)"};
    return facts;
  }

  TaskDefaults defaults(const std::string& model) const override {
    Recipe recipe{.optimizer = OptimizerKind::adamw,
                  .clip_norm = 0.5,
                  .schedule = ScheduleKind::warm_up_cosine};
    if (model == "ppo") return {25, 256, 1e-3, 0, recipe};
    recipe.clip_norm = 10;
    return {20, 128, 1e-3, 0, recipe};
  }

  const data::Environment& environment() const override { return data::acrobot(); }
};

}  // namespace

const Task& acrobot_task() {
  static const AcrobotTask task;
  return task;
}

}  // namespace halftone::tasks
