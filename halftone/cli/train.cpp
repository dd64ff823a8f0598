#include <unistd.h>

#include <memory>

#include "halftone/base/error.h"
#include "halftone/base/json.h"
#include "halftone/base/text.h"
#include "halftone/cli/checks.h"
#include "halftone/cli/run_options.h"
#include "halftone/tasks/resume.h"
#include "halftone/tasks/train_run.h"
#include "halftone/train/callbacks.h"

namespace halftone::cli {
namespace {

struct TrainOptions : RunOptions {
  bool resume = false, overwrite = false, explain_overflow = false;
  std::int64_t monitor_every = 100;
};

Json to_json(const tasks::RunConfig& config, const TrainResult& result) {
  Json json;
  json["task"] = config.task;
  json["model"] = config.model;
  json["precision"] = config.policy.name;
  json["steps"] = result.steps;
  json["epochs"] = result.epochs;
  json["seconds"] = result.seconds;
  for (const auto& [kind, value] : result.last.metrics) json["final_" + kind.name] = value;
  for (const auto& [kind, value] : result.best.metrics) json["best_" + kind.name] = value;
  json["skipped_steps"] = result.skipped_steps;
  json["final_scale"] = result.final_scale;
  json["interrupted"] = result.interrupted();
  return json;
}

void print_result(std::ostream& out, const tasks::RunConfig& config, const TrainResult& result,
                  const std::string& directory) {
  char text[200];
  std::snprintf(text, sizeof text, "%s on %s in %s: %lld steps in %.1f s", config.model.c_str(),
                config.task.c_str(), config.policy.name.c_str(),
                static_cast<long long>(result.steps), result.seconds);
  out << text;
  if (result.last.samples) {
    for (std::size_t i = 0; i < result.last.metrics.size(); ++i) {
      const auto& [kind, value] = result.last.metrics[i];
      out << ", " << metrics::title(kind) << " " << metrics::show(kind, value) << " (best "
          << metrics::show(kind, result.best.metrics[i].value) << ")";
    }
  }
  if (result.skipped_steps) {
    out << ", " << result.skipped_steps << " steps skipped, loss scale "
        << format_number(result.final_scale);
  }
  out << "\n";
  if (!directory.empty()) out << "in " << directory << "\n";
}

int train(Invocation& invocation, const TrainOptions& options) {
  if (options.resume && options.out.empty()) {
    throw UsageError("--resume without --out", "the directory of the run to resume", "");
  }
  tasks::RunConfig config = make_config(options);
  if (options.resume) {
    config = tasks::resumed_config(tasks::RunConfig::load(options.out), config,
                                   {.task = true,
                                    .model = !options.model.empty(),
                                    .data = !options.data.empty(),
                                    .epochs = options.epochs.has_value(),
                                    .steps = options.steps.has_value(),
                                    .batch = options.batch.has_value(),
                                    .accumulate = options.accumulate.has_value(),
                                    .recompute = options.recompute,
                                    .lr = options.lr.has_value(),
                                    .seed = options.seed.has_value(),
                                    .checkpoint_every = options.checkpoint_every.has_value(),
                                    .policy = config.precision != "auto",
                                    .pretrained = !options.pretrained.empty()});
  } else if (!options.out.empty()) {
    tasks::require_no_run(options.out, options.overwrite,
                          "--resume, --overwrite or another directory");
    tasks::require_writable(options.out);  // before the data are read
  }
  const auto data = open_data(config, invocation.err, open_options(options));
  if (!options.resume) settle_precision(config, *data, false, invocation.err);
  const bool terminal = isatty(STDERR_FILENO) != 0;
  const auto progress =
      std::make_shared<ProgressBar>(invocation.err, ProgressOptions{.terminal = terminal});
  const TrainResult result = tasks::train_run(config, *data,
                                              {.out = options.out,
                                               .resume = options.resume,
                                               .overwrite = options.overwrite,
                                               .explain_overflow = options.explain_overflow,
                                               .monitor_every = options.monitor_every,
                                               .callbacks = {progress}});
  if (options.json) {
    invocation.out << to_json(config, result).dump(2) << "\n";
  } else {
    print_result(invocation.out, config, result, options.out);
  }
  return result.interrupted() ? 128 + result.signal : 0;
}

}  // namespace

void add_train(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<TrainOptions>();
  auto* command = app.add_subcommand("train", "Train a network on a task");
  add_run_options(*command, *options);
  command
      ->add_option("--checkpoint-every", options->checkpoint_every,
                   "Steps between checkpoints (default: one per epoch)")
      ->type_name("STEPS")
      ->check(count());
  command
      ->add_option("--out", options->out,
                   "Directory for config.toml, metrics, checkpoints and weights (default: none)")
      ->type_name("DIR");
  auto* resume =
      command->add_flag("--resume", options->resume, "Continue the run in --out, bit for bit");
  command
      ->add_flag("--overwrite", options->overwrite, "Let --out replace a run that is there already")
      ->excludes(resume);
  command->add_flag("--explain-overflow", options->explain_overflow,
                    "Run each step that is skipped again and name the operation that overflowed "
                    "first (default: only where dynamic loss scaling does not expect it)");
  command
      ->add_option("--monitor-every", options->monitor_every,
                   "Steps between samples of all ranges, for inspect; 0: none; needs --out")
      ->type_name("STEPS")
      ->check(whole_number(0))
      ->capture_default_str();
  command->callback([options, &invocation] {
    invocation.run = [=, &invocation] { return train(invocation, *options); };
  });
}

}  // namespace halftone::cli
