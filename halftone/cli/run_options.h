// The options that train, compare and advise share, and how they become a RunConfig.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "halftone/cli/command.h"
#include "halftone/tasks/run_config.h"
#include "halftone/tasks/task.h"

namespace halftone::cli {

struct RunOptions {
  std::string task, data, model, pretrained, precision, policy, out;
  std::int64_t cache_mb = 512;
  int workers = 1;
  std::optional<std::int64_t> epochs, steps, batch, seed, checkpoint_every, accumulate;
  std::optional<double> lr;
  bool recompute = false, json = false;
};

// TASK, --data, --model, --pretrained, --batch, --cache-mb, --workers, --seed and --json.
void add_task_options(CLI::App& command, RunOptions& options);
// Those, and how a training goes.
void add_run_options(CLI::App& command, RunOptions& options);

// The configuration without the policy, defaults filled in; the policy too where --precision names
// a preset or --policy a file (config.precision is "auto" otherwise). Throws Error.
tasks::RunConfig make_config(const RunOptions& options);

// --cache-mb and --workers.
tasks::OpenOptions open_options(const RunOptions& options);

// What is in config.data; says so on `err` first where it takes long to read.
std::shared_ptr<const tasks::TaskData> open_data(const tasks::RunConfig& config, std::ostream& err,
                                                 const tasks::OpenOptions& options = {});

// With --precision auto: sets config.policy to what was advised before for this network, batch and
// machine (mixed_only: if that is half), else measures, and says on `err` what was chosen. Returns
// the reason, empty where nothing was chosen.
std::string settle_precision(tasks::RunConfig& config, const tasks::TaskData& data, bool mixed_only,
                             std::ostream& err);

}  // namespace halftone::cli
