// Advice that was given before, for `--precision auto`.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "halftone/tasks/advise.h"

namespace halftone::tasks {

// What an advice holds for, a line each: task, network with the names and shapes of its parameters,
// batch and shape of its input; CPU, rung, threads, LibTorch and Halftone, operations that are
// switched off. Throws UsageError for a batch that does not fit the data.
std::string advice_key(const RunConfig& config, const TaskData& data);

struct CachedAdvice {
  Policy policy;
  std::string reason;  // TaskAdvice::reason
};

// Writes the entry for the key, whole or not at all, over the one before. Throws Error.
void save_advice(const std::filesystem::path& directory, const std::string& key,
                 const TaskAdvice& advice);

// The entry for the key; nothing where there is none, and, with a warning that names the file,
// where it can't be read.
std::optional<CachedAdvice> load_advice(const std::filesystem::path& directory,
                                        const std::string& key);

// The user's own: cache_directory("advice").
std::filesystem::path advice_directory();

}  // namespace halftone::tasks
