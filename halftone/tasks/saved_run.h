// A finished run's network: evaluated, and asked about images.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "halftone/metrics/confusion.h"
#include "halftone/tasks/run_config.h"
#include "halftone/tasks/session.h"

namespace halftone::tasks {

struct SavedRun {
  RunConfig config;
  std::filesystem::path weights;  // the file that was read
  std::shared_ptr<models::Network> network;
};

// The run in `directory` (what --out was), with weights.safetensors or else the newest whole
// checkpoint; weights: another file of either kind. Throws Error.
SavedRun load_run(const std::filesystem::path& directory,
                  const std::filesystem::path& weights = {});

struct EvaluationReport {
  std::int64_t samples = 0;
  double loss = 0, accuracy = 0, top5_accuracy = 0, samples_per_s = 0;
  metrics::ConfusionMatrix confusion;
};

// One pass over `dataset` in the run's evaluation format.
EvaluationReport evaluate_run(SavedRun& run, std::shared_ptr<data::Dataset> dataset,
                              std::int64_t batch = 256);

struct Prediction {
  std::string image, label;
  double probability = 0;
  std::vector<std::pair<std::string, double>> ranking;  // all classes, the most likely first
};

// Images of any size, JPEG or PNG, brought to the task's shape. Throws Error that names a file that
// can't be read.
std::vector<Prediction> predict(SavedRun& run, const std::vector<std::filesystem::path>& images);

}  // namespace halftone::tasks
