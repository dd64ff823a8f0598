// `halftone diff`: where two runs of the same network differ.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "halftone/base/json.h"
#include "halftone/numerics/lockstep.h"
#include "halftone/tasks/task.h"

namespace halftone::tasks {

// A key of config.toml that the runs have different values for; "" where one lacks it.
struct SettingDifference {
  std::string key, a, b;
};

// What a run's metrics.jsonl says at its end.
struct RunHistory {
  std::vector<double> losses;  // by step
  std::int64_t skipped = 0;
  double scale = 1;
};

// A tensor of the last step at which both runs sampled ranges.
struct RangeDifference {
  std::string kind, name;
  double amax_a = 0, amax_b = 0;
};

// A parameter as both runs left it: the norm of the difference over the first one's.
struct WeightDifference {
  std::string name;
  double relative = 0;
};

struct RunDifference {
  std::filesystem::path a, b;
  std::vector<SettingDifference> settings;
  RunHistory history_a, history_b;
  // The first step at which the losses differ at all; 0: at none that both have.
  std::int64_t first_other_loss = 0;
  std::int64_t range_step = 0;          // 0: they have no sampled step in common
  std::vector<RangeDifference> ranges;  // the largest ratio first
  std::vector<WeightDifference> weights;
  numerics::LockstepReport operations;  // the first run's weights under both policies
};

// The two configurations, histories, ranges and weights; and the first run's weights under both
// runs' policies on the same batches, which tells what the policies alone do. Throws UsageError
// where the runs are not of the same task and model, and Error where one is no run.
RunDifference diff_runs(const std::filesystem::path& a, const std::filesystem::path& b,
                        const TaskData& data, std::int64_t batches);

// The checks of diff_runs() that need no data; the first run's configuration.
RunConfig require_same_network(const std::filesystem::path& a, const std::filesystem::path& b);

std::string diff_text(const RunDifference& difference, std::size_t rows);
// {"settings", "history", "first_other_loss", "ranges", "weights", "lockstep"}.
Json diff_json(const RunDifference& difference);

}  // namespace halftone::tasks
