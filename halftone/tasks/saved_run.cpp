#include "halftone/tasks/saved_run.h"

#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/text.h"
#include "halftone/precision/autocast.h"
#include "halftone/tasks/pretrained.h"
#include "halftone/tasks/session.h"
#include "halftone/train/checkpoint.h"
#include "halftone/train/evaluation.h"
#include "halftone/train/weights.h"

namespace halftone::tasks {
namespace {

std::filesystem::path find_weights(const std::filesystem::path& directory) {
  const auto weights = directory / "weights.safetensors";
  if (std::filesystem::exists(weights)) return weights;
  const CheckpointStore store(directory / "checkpoints", 1);
  const auto newest = store.newest();
  if (newest) return newest->path;
  throw Error("no weights.safetensors and no checkpoint", "a run that has got that far",
              directory.string());
}

Assets load_assets(const RunConfig& config, const std::filesystem::path& directory) {
  Assets assets;
  auto names = find_task(config.task).facts().assets;
  if (!config.pretrained.empty()) {
    const auto more = pretrained_files();
    names.insert(names.end(), more.begin(), more.end());
  }
  for (const std::string& name : names) {
    assets.emplace(name, read_file(directory / name));
  }
  return assets;
}

}  // namespace

SavedRun load_run(const std::filesystem::path& directory, const std::filesystem::path& weights) {
  SavedRun run;
  run.config = RunConfig::load(directory);
  run.weights = weights.empty() ? find_weights(directory) : weights;
  run.learner = make_learner(run.config, load_assets(run.config, directory));
  torch::nn::Module& module = *run.learner->module();
  load_weights(module, run.weights);
  if (!is_half(run.config.policy.evaluation)) module.to(scalar_type(run.config.policy.evaluation));
  module.eval();
  return run;
}

std::shared_ptr<Learner> load_network(const std::filesystem::path& directory, const Policy& policy,
                                      const std::filesystem::path& weights_of) {
  RunConfig config = RunConfig::load(directory);
  config.policy = policy;
  auto learner = make_learner(config, load_assets(config, directory));
  load_weights(*learner->module(), find_weights(weights_of));
  learner->module()->train();
  return learner;
}

EvaluationReport evaluate_run(SavedRun& run, const TaskData& data, std::int64_t batch) {
  const auto source = data.test(batch, *run.learner);
  EvaluationReport report;
  report.evaluation = *evaluate({*run.learner->module(), *run.learner, *source, run.config.policy},
                                {}, &report.details);
  report.samples_per_s = static_cast<double>(report.evaluation.samples) / report.evaluation.seconds;
  return report;
}

Answers predict(SavedRun& run, const std::vector<std::string>& inputs,
                const PredictOptions& options) {
  const auto taken = run.learner->predict_options();
  for (const std::string& given : options.given()) {
    if (std::find(taken.begin(), taken.end(), given) != taken.end()) continue;
    throw UsageError(
        "--" + given + " for " + run.config.task,
        taken.empty() ? "no option of this kind" : "of this kind only --" + join(taken, ", --"),
        "");
  }
  const at::NoGradGuard no_grad;
  const Autocast autocast(run.config.policy.for_evaluation());
  return run.learner->predict(inputs, options);
}

}  // namespace halftone::tasks
