#include "halftone/tasks/recipe.h"

#include "halftone/optim/adamw.h"
#include "halftone/optim/param_groups.h"
#include "halftone/optim/scheduler_one_cycle.h"
#include "halftone/optim/scheduler_warm_up.h"
#include "halftone/optim/sgd.h"

namespace halftone::tasks {
namespace {

constexpr double kWarmUpStart = 0.01;  // of the peak rate

// What all optimizers have in common.
template <class Options>
Options common_options(const Recipe& recipe, const RunConfig& config) {
  Options options;
  options.lr = config.lr;
  options.weight_decay = config.weight_decay;
  options.seed = config.seed;
  options.clip_norm = recipe.clip_norm;
  if (config.policy.weights != WeightStorage::fp32) options.storage = config.policy.weights;
  return options;
}

std::vector<torch::optim::OptimizerParamGroup> norm_bias_groups(const torch::nn::Module& module,
                                                                const optim::SGDOptions& options,
                                                                double rate) {
  optim::SGDOptions faster = options;
  faster.lr *= rate;
  faster.weight_decay /= rate;
  optim::NormBiasSplit split = optim::split_by_norm_bias(module);
  std::vector<torch::optim::OptimizerParamGroup> groups;
  if (!split.others.empty()) groups.push_back(optim::group(std::move(split.others), options));
  if (!split.norm_biases.empty()) {
    groups.push_back(optim::group(std::move(split.norm_biases), faster));
  }
  return groups;
}

}  // namespace

std::shared_ptr<torch::optim::Optimizer> make_optimizer(const Recipe& recipe,
                                                        const torch::nn::Module& module,
                                                        const RunConfig& config) {
  if (recipe.optimizer == OptimizerKind::adamw) {
    auto options = common_options<optim::AdamWOptions>(recipe, config);
    options.betas = recipe.betas;
    return std::make_shared<optim::AdamW>(optim::decay_groups(module, options), options);
  }
  auto options = common_options<optim::SGDOptions>(recipe, config);
  options.momentum = recipe.momentum;
  options.nesterov = recipe.momentum > 0;
  if (recipe.norm_bias_rate) {
    return std::make_shared<optim::SGD>(norm_bias_groups(module, options, *recipe.norm_bias_rate),
                                        options);
  }
  return std::make_shared<optim::SGD>(optim::decay_groups(module, options), options);
}

std::shared_ptr<optim::Scheduler> make_schedule(const Recipe& recipe,
                                                torch::optim::Optimizer& optimizer,
                                                std::int64_t steps) {
  if (steps < 2) return std::make_shared<optim::ConstantLr>(optimizer);
  if (recipe.schedule == ScheduleKind::one_cycle) {
    optim::OneCycleOptions options = recipe.cycle;
    options.total_steps = steps;
    return std::make_shared<optim::OneCycleLr>(optimizer, options);
  }
  const auto rising = static_cast<std::int64_t>(recipe.warm_up * static_cast<double>(steps));
  auto cosine = std::make_shared<optim::CosineLr>(optimizer, steps - rising, recipe.min_factor);
  return std::make_shared<optim::WarmUpLr>(std::move(cosine), rising, kWarmUpStart);
}

}  // namespace halftone::tasks
