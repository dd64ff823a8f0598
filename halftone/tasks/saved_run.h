// A finished run's network: evaluated, and asked.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "halftone/tasks/run_config.h"
#include "halftone/tasks/task.h"
#include "halftone/train/callback.h"

namespace halftone::tasks {

struct SavedRun {
  RunConfig config;
  std::filesystem::path weights;  // the file that was read
  std::shared_ptr<Learner> learner;
};

// The run in `directory` (what --out was), with weights.safetensors or else the newest whole
// checkpoint; weights: another file of either kind. Throws Error.
SavedRun load_run(const std::filesystem::path& directory,
                  const std::filesystem::path& weights = {});

// The network of the run in `directory` under `policy`, in training mode; weights_of: the run whose
// weights it gets, that or another of the same network. Throws Error.
std::shared_ptr<Learner> load_network(const std::filesystem::path& directory, const Policy& policy,
                                      const std::filesystem::path& weights_of);

struct EvaluationReport {
  Evaluation evaluation;
  EvaluationDetails details;
  double samples_per_s = 0;
};

// One pass over the data's evaluation part in the run's evaluation format.
EvaluationReport evaluate_run(SavedRun& run, const TaskData& data, std::int64_t batch = 256);

// What the network answers, in the run's evaluation format. Throws UsageError for an option that
// its kind of task does not take, and what Learner::predict() throws.
Answers predict(SavedRun& run, const std::vector<std::string>& inputs,
                const PredictOptions& options);

}  // namespace halftone::tasks
