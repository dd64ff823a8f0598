// A task, a configuration and data put together: network, optimizer, schedule, loaders, trainer.
#pragma once

#include <memory>

#include "halftone/data/loader.h"
#include "halftone/models/network.h"
#include "halftone/optim/sgd.h"
#include "halftone/tasks/run_config.h"
#include "halftone/tasks/task.h"
#include "halftone/train/trainer.h"

namespace halftone::tasks {

// Members depend on one another; the trainer goes first.
struct Session {
  std::shared_ptr<models::Network> network;
  std::shared_ptr<data::Loader> train, evaluation;
  std::unique_ptr<Trainer> trainer;
};

// Batches for training: shuffled and augmented by config.seed, without the incomplete last one.
std::shared_ptr<data::Loader> make_train_loader(const Task& task, const RunConfig& config,
                                                const Datasets& datasets);
// Batches for evaluation, in order.
std::shared_ptr<data::Loader> make_evaluation_loader(const Task& task,
                                                     std::shared_ptr<data::Dataset> dataset,
                                                     std::int64_t batch);

// The task's network under config.policy; initial weights depend on config.seed alone.
std::shared_ptr<models::Network> make_network(const Task& task, const RunConfig& config);

// SGD with Nesterov momentum 0.9 and a one-cycle schedule. `options`: epochs, max_steps,
// checkpoint_every and seed are set from `config`.
Session make_session(const RunConfig& config, const Datasets& datasets,
                     TrainerOptions options = {});

}  // namespace halftone::tasks
