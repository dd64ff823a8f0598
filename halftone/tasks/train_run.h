// `halftone train`: a run with its directory, from the start or resumed.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "halftone/tasks/run_config.h"
#include "halftone/tasks/task.h"
#include "halftone/train/callback.h"

namespace halftone::tasks {

struct TrainRunOptions {
  std::filesystem::path out;  // empty: nothing is written
  bool resume = false;
  bool overwrite = false;          // `out` may hold another run, whose checkpoints then go
  bool explain_overflow = false;   // every skipped step, not only those that nobody expects
  std::int64_t monitor_every = 0;  // steps between samples of ranges; needs `out`
  std::vector<std::shared_ptr<Callback>> callbacks;
};

// Trains as `config` says. `out` gets config.toml, its assets (session.h), metrics.jsonl,
// ranges.jsonl, events.*, checkpoints/, samples/ (Learner::picture() of each evaluation) and, at
// the end, weights.safetensors. Throws Error before the first step where `out` can't be written,
// and UsageError where it holds another run and neither resume nor overwrite is given.
TrainResult train_run(const RunConfig& config, const TaskData& data,
                      const TrainRunOptions& options);

// Throws UsageError where `directory` holds a run (checkpoints, weights or a comparison's reports)
// that `overwrite` does not give up. expected: what the command takes instead.
void require_no_run(const std::filesystem::path& directory, bool overwrite,
                    const std::string& expected = "another directory, or --overwrite");
// The same, and deletes the run that is given up: what is left of it would pass for the new one's.
void clear_run(const std::filesystem::path& directory, bool overwrite);

// config.toml and the assets: what load_run() needs beside the weights. Throws Error.
void save_setting(const RunConfig& config, const TaskData& data,
                  const std::filesystem::path& directory);

// Creates `directory` and tries to write in it. Throws Error.
void require_writable(const std::filesystem::path& directory);

}  // namespace halftone::tasks
