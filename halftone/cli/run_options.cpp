#include "halftone/cli/run_options.h"

#include <algorithm>
#include <filesystem>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/cli/checks.h"
#include "halftone/tasks/advice_cache.h"
#include "halftone/tasks/precision_choice.h"

namespace halftone::cli {
namespace {

constexpr std::int64_t kMostCacheMb = 1 << 30;  // in bytes it fits 64 bits
constexpr std::int64_t kMostWorkers = 1024;

std::vector<std::string> precision_names() {
  std::vector<std::string> names = Policy::preset_names();
  names.insert(names.begin(), "auto");
  return names;
}

// The key needs network and data; where there is no advice at all, none of that.
std::optional<tasks::CachedAdvice> find_advice(const tasks::RunConfig& config,
                                               const tasks::TaskData& data) {
  std::error_code none;
  const auto directory = tasks::advice_directory();
  if (std::filesystem::is_empty(directory, none) || none) return std::nullopt;
  return tasks::load_advice(directory, tasks::advice_key(config, data));
}

}  // namespace

void add_task_options(CLI::App& command, RunOptions& options) {
  command.add_option("TASK", options.task, "One of: " + join(tasks::task_names()))
      ->required()
      ->check(one_of(tasks::task_names()));
  command.add_option("--data", options.data, "Where its data are (default: the user's cache)")
      ->type_name("DIR");
  command
      .add_option("--model", options.model,
                  "The network; \"halftone tasks\" tells which a task has (default: the first)")
      ->type_name("NAME");
  command
      .add_option("--pretrained", options.pretrained,
                  "A Hugging Face folder (config.json, vocab.txt, model.safetensors) whose weights "
                  "an encoder starts from")
      ->type_name("DIR");
  command.add_option("--batch", options.batch, "Examples per step")->type_name("N")->check(count());
  command
      .add_option("--cache-mb", options.cache_mb,
                  "Decoded images that are kept in memory, in units of 2^20 bytes; the others are "
                  "decoded anew in each epoch (default " +
                      std::to_string(options.cache_mb) + "; image-folder, camvid, bccd)")
      ->type_name("N")
      ->check(whole_number(0, kMostCacheMb));
  command
      .add_option("--workers", options.workers,
                  "Threads that decode images and build batches; any number gives the same ones "
                  "(default " +
                      std::to_string(options.workers) + "; image-folder, camvid, bccd)")
      ->type_name("N")
      ->check(whole_number(1, kMostWorkers));
  command.add_option("--seed", options.seed, "Of weights, order and augmentation (default 0)")
      ->type_name("N")
      ->check(whole_number(0));
  command.add_flag("--json", options.json, "Print the result as JSON");
}

void add_run_options(CLI::App& command, RunOptions& options) {
  add_task_options(command, options);
  auto* precision =
      command
          .add_option(
              "--precision", options.precision,
              "auto (the default: what advise has found for this network here, else measures "
              "and takes the fastest) or a preset: " +
                  join(Policy::preset_names()))
          ->type_name("NAME")
          ->check(one_of(precision_names()));
  command.add_option("--policy", options.policy, "A policy as TOML, instead of --precision")
      ->type_name("FILE")
      ->excludes(precision);
  command.add_option("--epochs", options.epochs, "Passes over the training data")
      ->type_name("N")
      ->check(count());
  command
      .add_option("--steps", options.steps,
                  "Stop after so many steps (without --epochs the schedule fits them)")
      ->type_name("N")
      ->check(count());
  command
      .add_option("--accumulate", options.accumulate,
                  "Batches whose gradients are added up for one step (default 1)")
      ->type_name("N")
      ->check(count());
  command.add_flag("--recompute", options.recompute,
                   "Compute the inside of a network's blocks again for backward instead of keeping "
                   "it: less memory, more time, the same result");
  command.add_option("--lr", options.lr, "Peak learning rate of the schedule")
      ->type_name("X")
      ->check(positive_number());
}

tasks::RunConfig make_config(const RunOptions& options) {
  const tasks::Task& task = tasks::find_task(options.task);
  const auto& models = task.facts().models;
  if (!options.model.empty() &&
      std::find(models.begin(), models.end(), options.model) == models.end())
    throw UsageError(quote(options.model), choices(options.model, models), "--model");
  tasks::RunConfig config;
  config.task = options.task;
  config.model = options.model.empty() ? task.default_model() : options.model;
  if (!options.pretrained.empty()) {
    const auto& starting = task.facts().pretrained;
    if (std::find(starting.begin(), starting.end(), config.model) == starting.end()) {
      throw UsageError("--pretrained for " + config.task + " with --model " + config.model,
                       starting.empty() ? "another task" : "--model " + join(starting, " or "), "");
    }
    config.pretrained = std::filesystem::absolute(options.pretrained);
  }
  const tasks::TaskDefaults defaults = task.defaults(config.model);
  config.steps = options.steps.value_or(0);
  config.epochs = options.epochs.value_or(options.steps ? 0 : defaults.epochs);
  config.batch = options.batch.value_or(defaults.batch);
  config.accumulate = options.accumulate.value_or(1);
  config.recompute = options.recompute;
  config.lr = options.lr.value_or(defaults.lr);
  config.weight_decay = defaults.weight_decay;
  config.seed = static_cast<std::uint64_t>(options.seed.value_or(0));
  config.checkpoint_every = options.checkpoint_every.value_or(0);
  if (!options.policy.empty()) {
    config.precision = "policy";
    config.policy = Policy::load(options.policy);
  } else if (!options.precision.empty() && options.precision != "auto") {
    config.precision = options.precision;
    config.policy = Policy::preset(options.precision);
  }
  const std::filesystem::path data =
      options.data.empty() ? task.find_data() : std::filesystem::path(options.data);
  config.data = data.empty() ? data : std::filesystem::absolute(data);
  return config;
}

tasks::OpenOptions open_options(const RunOptions& options) {
  constexpr std::int64_t kMega = 1 << 20;
  return {.cache_bytes = options.cache_mb * kMega, .workers = options.workers};
}

std::shared_ptr<const tasks::TaskData> open_data(const tasks::RunConfig& config, std::ostream& err,
                                                 const tasks::OpenOptions& options) {
  const tasks::Task& task = tasks::find_task(config.task);
  if (task.facts().slow_to_read) err << "reading " << config.data.string() << std::endl;
  return task.open(config.data, options);
}

std::string settle_precision(tasks::RunConfig& config, const tasks::TaskData& data, bool mixed_only,
                             std::ostream& err) {
  if (config.precision != "auto") return "";
  if (const auto cached = find_advice(config, data);
      cached && (!mixed_only || is_half(cached->policy.compute))) {
    config.policy = cached->policy;
    const std::string reason =
        "precision " + config.policy.name + ", as halftone advise found here: " + cached->reason;
    err << reason << std::endl;
    return reason;
  }
  const auto choice = tasks::choose_precision(config, data, mixed_only, [&] {
    err << "measuring the formats for a few steps" << std::endl;
  });
  config.policy = choice.policy;
  err << choice.reason << std::endl;
  return choice.reason;
}

}  // namespace halftone::cli
