// CartPole: a cart balances a pole.
#include "halftone/tasks/control_task.h"

namespace halftone::tasks {
namespace {

class CartPoleTask : public ControlTask {
 public:
  const TaskFacts& facts() const override {
    static const TaskFacts facts{.name = "cartpole",
                                 .summary =
                                     "reinforcement learning: a cart balances a pole, for "
                                     "500 steps at most (Gymnasium's CartPole-v1)",
                                 .noun = "transitions",
                                 .evaluation_noun = "episodes",
                                 .models = {"ppo", "dqn"},
                                 .source = "none: the environment is computed",
                                 .time = "about half a minute (two cores)"};
    return facts;
  }

  // ppo balances for all 500 steps; dqn learns to for some hundreds and forgets it again: the cart
  // drifts off.
  TaskDefaults defaults(const std::string& model) const override {
    Recipe recipe{.optimizer = OptimizerKind::adamw,
                  .clip_norm = 0.5,
                  .schedule = ScheduleKind::warm_up_cosine};
    if (model == "ppo") return {15, 256, 1e-3, 0, recipe};
    recipe.clip_norm = 10;
    return {20, 128, 1e-3, 0, recipe};
  }

  const data::Environment& environment() const override { return data::cart_pole(); }
};

}  // namespace

const Task& cartpole_task() {
  static const CartPoleTask task;
  return task;
}

}  // namespace halftone::tasks
