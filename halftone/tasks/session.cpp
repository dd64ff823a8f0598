#include "halftone/tasks/session.h"

#include <utility>

#include "halftone/base/error.h"
#include "halftone/optim/param_groups.h"
#include "halftone/optim/scheduler_one_cycle.h"
#include "halftone/precision/apply.h"

namespace halftone::tasks {
namespace {

constexpr double kMomentum = 0.9;
constexpr std::int64_t kEvaluationBatch = 256;

std::shared_ptr<optim::SGD> make_optimizer(const models::Network& network,
                                           const RunConfig& config) {
  optim::SGDOptions options;
  options.lr = config.lr;
  options.momentum = kMomentum;
  options.nesterov = true;
  options.weight_decay = config.weight_decay;
  options.seed = config.seed;
  if (config.policy.weights != WeightStorage::fp32) options.storage = config.policy.weights;
  return std::make_shared<optim::SGD>(optim::decay_groups(network, options), options);
}

std::shared_ptr<optim::Scheduler> make_schedule(optim::SGD& optimizer, std::int64_t steps) {
  if (steps < 2) return std::make_shared<optim::ConstantLr>(optimizer);
  optim::OneCycleOptions options;
  options.total_steps = steps;
  return std::make_shared<optim::OneCycleLr>(optimizer, options);
}

}  // namespace

std::shared_ptr<data::Loader> make_train_loader(const Task& task, const RunConfig& config,
                                                const Datasets& datasets) {
  if (config.batch > datasets.train->size()) {
    throw UsageError(std::to_string(config.batch),
                     "at most the " + std::to_string(datasets.train->size()) + " training images",
                     "--batch");
  }
  data::LoaderOptions options;
  options.batch = config.batch;
  options.seed = config.seed;
  options.drop_last = true;
  options.augmentation = task.augmentation(true);
  return std::make_shared<data::Loader>(datasets.train, options);
}

std::shared_ptr<data::Loader> make_evaluation_loader(const Task& task,
                                                     std::shared_ptr<data::Dataset> dataset,
                                                     std::int64_t batch) {
  data::LoaderOptions options;
  options.batch = batch;
  options.shuffle = false;
  options.augmentation = task.augmentation(false);
  return std::make_shared<data::Loader>(std::move(dataset), options);
}

std::shared_ptr<models::Network> make_network(const Task& task, const RunConfig& config) {
  models::NetworkOptions options = task.network(config.model);
  options.seed = config.seed;
  options.init = config.policy.init;
  auto network = models::make_network(options);
  halftone::apply(config.policy, *network);
  return network;
}

Session make_session(const RunConfig& config, const Datasets& datasets, TrainerOptions options) {
  const Task& task = find_task(config.task);
  Session session;
  session.network = make_network(task, config);
  session.train = make_train_loader(task, config, datasets);
  session.evaluation = make_evaluation_loader(task, datasets.evaluation, kEvaluationBatch);
  const std::int64_t batches = session.train->batches();

  auto optimizer = make_optimizer(*session.network, config);
  TrainerParts parts;
  parts.module = session.network;
  parts.forward = [network = session.network.get()](const at::Tensor& input) {
    return network->forward(input);
  };
  parts.loss = [&task](const at::Tensor& output, const at::Tensor& target) {
    return task.loss(output, target);
  };
  parts.optimizer = optimizer;
  parts.scheduler = make_schedule(*optimizer, config.schedule_steps(batches));
  parts.policy = config.policy;
  parts.train = session.train;
  parts.evaluation = session.evaluation;

  options.epochs = config.total_epochs(batches);
  options.max_steps = config.steps;
  options.checkpoint_every = config.checkpoint_every;
  options.seed = config.seed;
  session.trainer = std::make_unique<Trainer>(std::move(parts), options);
  return session;
}

}  // namespace halftone::tasks
