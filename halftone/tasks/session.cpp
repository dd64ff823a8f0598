#include "halftone/tasks/session.h"

#include <utility>

#include "halftone/base/error.h"
#include "halftone/models/block_network.h"
#include "halftone/precision/apply.h"
#include "halftone/tasks/pretrained.h"

namespace halftone::tasks {
namespace {

constexpr std::int64_t kEvaluationBatch = 256;

void prepare(Learner& learner, const RunConfig& config) {
  halftone::apply(config.policy, *learner.module());
  if (config.recompute && !models::recompute_blocks(*learner.module())) {
    throw UsageError("--recompute for " + config.task + " with --model " + config.model,
                     "a network of blocks: a ResNet, a transformer, U-Net or FCOS", "");
  }
}

// What the policy rounds are the weights that training starts from.
std::shared_ptr<Learner> starting_learner(const RunConfig& config, const TaskData& data) {
  auto learner = find_task(config.task).learner(config, run_assets(config, data));
  data.initialise(*learner);
  if (!config.pretrained.empty()) load_pretrained(*learner->module(), config.pretrained);
  prepare(*learner, config);
  return learner;
}

}  // namespace

Assets run_assets(const RunConfig& config, const TaskData& data) {
  Assets assets = data.assets();
  if (!config.pretrained.empty()) assets.merge(pretrained_assets(config.pretrained));
  return assets;
}

std::shared_ptr<Learner> make_learner(const RunConfig& config, const Assets& assets) {
  auto learner = find_task(config.task).learner(config, assets);
  prepare(*learner, config);
  return learner;
}

Session make_session(const RunConfig& config, const TaskData& data, TrainerOptions options) {
  Session session;
  session.learner = starting_learner(config, data);
  session.train = data.train(config, *session.learner);
  session.evaluation = data.evaluation(kEvaluationBatch, *session.learner);
  const std::int64_t batches = session.train->batches();

  const Recipe recipe = find_task(config.task).defaults(config.model).recipe;
  TrainerParts parts;
  parts.module = session.learner->module();
  parts.objective = session.learner;
  for (const auto& module : session.learner->phase_modules()) {
    TrainerPhase phase{make_optimizer(recipe, *module, config), nullptr};
    phase.scheduler = make_schedule(recipe, *phase.optimizer, config.schedule_steps(batches));
    parts.later_phases.push_back(std::move(phase));
  }
  parts.optimizer = parts.later_phases.front().optimizer;
  parts.scheduler = parts.later_phases.front().scheduler;
  parts.later_phases.erase(parts.later_phases.begin());
  parts.policy = config.policy;
  parts.train = session.train;
  parts.evaluation = session.evaluation;

  options.lookahead = recipe.lookahead;
  options.lookahead.total_steps = config.schedule_steps(batches);
  options.epochs = config.total_epochs(batches);
  options.max_steps = config.steps;
  options.accumulate = config.accumulate;
  options.checkpoint_every = config.checkpoint_every;
  options.seed = config.seed;
  session.trainer = std::make_unique<Trainer>(std::move(parts), options);
  return session;
}

}  // namespace halftone::tasks
