// A task, a configuration and data put together: network, optimizer, schedule, batches, trainer.
#pragma once

#include <memory>

#include "halftone/tasks/task.h"
#include "halftone/train/trainer.h"

namespace halftone::tasks {

// Members depend on one another; the trainer goes first.
struct Session {
  std::shared_ptr<Learner> learner;
  std::shared_ptr<data::BatchSource> train, evaluation;
  std::unique_ptr<Trainer> trainer;
};

// What a run's directory keeps: the data's assets, and those of the folder that --pretrained names.
Assets run_assets(const RunConfig& config, const TaskData& data);

// The task's network under config.policy; initial weights depend on config.seed alone. Throws
// UsageError where it can't do what config.recompute asks for.
std::shared_ptr<Learner> make_learner(const RunConfig& config, const Assets& assets);

// By the task's recipe, from the weights in config.pretrained where a folder is given. `options`:
// epochs, max_steps, accumulate, checkpoint_every and seed are set from `config`.
Session make_session(const RunConfig& config, const TaskData& data, TrainerOptions options = {});

}  // namespace halftone::tasks
