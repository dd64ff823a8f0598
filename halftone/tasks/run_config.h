// Everything that is needed to run a training again, as config.toml holds it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "halftone/precision/policy.h"

namespace halftone::tasks {

struct RunConfig {
  std::string task, model;
  std::filesystem::path data;
  std::filesystem::path pretrained;  // a folder whose weights training starts from; empty: none
  std::int64_t epochs = 0;           // 0: as many as `steps` need
  std::int64_t steps = 0;            // at which training ends; 0: `epochs` decide
  std::int64_t batch = 0;
  std::int64_t accumulate = 1;  // batches per optimizer step
  bool recompute = false;       // blocks for backward instead of keeping what is inside them
  double lr = 0, weight_decay = 0;
  std::uint64_t seed = 0;
  std::int64_t checkpoint_every = 0;  // steps; 0: at the end of each epoch
  std::string precision = "auto";     // as asked for: "auto", a preset or "policy"
  Policy policy;                      // what it came to

  bool operator==(const RunConfig&) const = default;

  // Optimizer steps of an epoch of `batches` batches, the last of fewer where they don't come out
  // even; epochs; and the steps over which the learning rate runs its course: all of `epochs` where
  // they are given, so that `steps` only ends the run earlier.
  std::int64_t steps_per_epoch(std::int64_t batches) const;
  std::int64_t total_epochs(std::int64_t batches) const;
  std::int64_t schedule_steps(std::int64_t batches) const;
  std::int64_t total_steps(std::int64_t batches) const;

  std::string to_toml() const;
  // Throws UsageError with file and line for what it does not know.
  static RunConfig from_toml(const std::string& text, const std::string& where);

  // DIR/config.toml. load() throws Error where DIR holds no run.
  void save(const std::filesystem::path& directory) const;
  static RunConfig load(const std::filesystem::path& directory);
};

}  // namespace halftone::tasks
