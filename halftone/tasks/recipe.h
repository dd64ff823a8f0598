// How a task is trained: optimizer and schedule, as plain data.
#pragma once

#include <torch/nn/module.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "halftone/optim/lookahead.h"
#include "halftone/optim/scheduler.h"
#include "halftone/optim/scheduler_one_cycle.h"
#include "halftone/tasks/run_config.h"

namespace halftone::tasks {

enum class OptimizerKind { sgd, adamw };  // sgd: Nesterov
enum class ScheduleKind { one_cycle, warm_up_cosine };

struct Recipe {
  OptimizerKind optimizer = OptimizerKind::sgd;
  double momentum = 0.9;                       // of sgd
  std::array<double, 2> betas = {0.9, 0.999};  // of adamw
  std::optional<double> clip_norm = {};        // global L2 norm of the unscaled gradients
  ScheduleKind schedule = ScheduleKind::one_cycle;
  // Of one_cycle; its total_steps are the training's.
  optim::OneCycleOptions cycle = {};
  double warm_up = 0;     // share of the steps in which the rate rises linearly; of warm_up_cosine
  double min_factor = 0;  // of the peak rate, at the cosine's end
  // Of sgd: the rate of normalisation layers' biases over that of the other parameters. Where it is
  // given, weights of all kinds decay, and by rate times decay alike: the biases' decay is divided
  // by it.
  std::optional<double> norm_bias_rate = {};
  optim::LookaheadOptions lookahead = {};  // its total_steps are the training's; every 0: none
};

// By the recipe with config's learning rate, weight decay (not of biases and normalisation layers,
// unless the recipe says so), seed and storage of weights.
std::shared_ptr<torch::optim::Optimizer> make_optimizer(const Recipe& recipe,
                                                        const torch::nn::Module& module,
                                                        const RunConfig& config);

// Over `steps` steps; constant where there are fewer than two.
std::shared_ptr<optim::Scheduler> make_schedule(const Recipe& recipe,
                                                torch::optim::Optimizer& optimizer,
                                                std::int64_t steps);

}  // namespace halftone::tasks
