#include "halftone/tasks/saved_run.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>

#include "halftone/base/error.h"
#include "halftone/data/codec/image.h"
#include "halftone/metrics/running_loss.h"
#include "halftone/metrics/top_k.h"
#include "halftone/precision/autocast.h"
#include "halftone/train/checkpoint.h"
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

// The policy under which a run is evaluated.
Policy evaluation_policy(const Policy& policy) {
  Policy evaluation = policy;
  evaluation.compute = policy.evaluation;
  return evaluation;
}

// logits (N, classes) of a batch, in fp32.
at::Tensor logits(SavedRun& run, const at::Tensor& input) {
  const at::NoGradGuard no_grad;
  const Autocast autocast(evaluation_policy(run.config.policy));
  return run.network->forward(input).to(at::kFloat);
}

Prediction make_prediction(const std::string& image, const at::Tensor& probabilities,
                           const std::vector<std::string>& names) {
  Prediction prediction;
  prediction.image = image;
  for (std::size_t i = 0; i < names.size(); ++i) {
    prediction.ranking.emplace_back(names[i],
                                    probabilities[static_cast<std::int64_t>(i)].item<double>());
  }
  std::stable_sort(prediction.ranking.begin(), prediction.ranking.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  prediction.label = prediction.ranking[0].first;
  prediction.probability = prediction.ranking[0].second;
  return prediction;
}

}  // namespace

SavedRun load_run(const std::filesystem::path& directory, const std::filesystem::path& weights) {
  SavedRun run;
  run.config = RunConfig::load(directory);
  run.weights = weights.empty() ? find_weights(directory) : weights;
  run.network = make_network(find_task(run.config.task), run.config);
  load_weights(*run.network, run.weights);
  if (!is_half(run.config.policy.evaluation)) {
    run.network->to(scalar_type(run.config.policy.evaluation));
  }
  run.network->eval();
  return run;
}

EvaluationReport evaluate_run(SavedRun& run, std::shared_ptr<data::Dataset> dataset,
                              std::int64_t batch) {
  const Task& task = find_task(run.config.task);
  const auto loader = make_evaluation_loader(task, std::move(dataset), batch);
  const auto start = std::chrono::steady_clock::now();
  metrics::RunningLoss loss;
  metrics::TopKAccuracy accuracy({1, 5});
  metrics::ConfusionMatrix confusion(loader->dataset().classes());
  loader->start_epoch(0);
  while (const auto next = loader->next()) {
    const at::Tensor output = logits(run, next->input);
    const at::Tensor predicted = output.argmax(1);
    loss.add(task.loss(output, next->target).item<double>(), next->target.size(0));
    accuracy.add(output, next->target);
    confusion.add(next->target.const_data_ptr<std::int64_t>(),
                  predicted.const_data_ptr<std::int64_t>(), next->target.size(0));
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  return {.samples = loss.samples(),
          .loss = loss.mean(),
          .accuracy = accuracy.accuracy(1),
          .top5_accuracy = accuracy.accuracy(5),
          .samples_per_s = static_cast<double>(loss.samples()) / taken.count(),
          .confusion = std::move(confusion)};
}

std::vector<Prediction> predict(SavedRun& run, const std::vector<std::filesystem::path>& images) {
  const Task& task = find_task(run.config.task);
  const models::NetworkOptions shape = task.network(run.config.model);
  std::vector<at::Tensor> fitted;
  for (const auto& path : images) {
    fitted.push_back(
        data::fit_image(data::load_image(path), {shape.channels, shape.height, shape.width}));
  }
  // As a data set, so that pixels take the same way into the network as in training.
  auto dataset = std::make_shared<data::MemoryDataset>(
      at::stack(fitted), std::vector<std::int64_t>(images.size(), 0), task.class_names());
  const auto loader = make_evaluation_loader(task, std::move(dataset), 64);
  std::vector<Prediction> predictions;
  loader->start_epoch(0);
  while (const auto batch = loader->next()) {
    const at::Tensor probabilities = logits(run, batch->input).softmax(1);
    for (std::int64_t i = 0; i < probabilities.size(0); ++i) {
      predictions.push_back(make_prediction(images[predictions.size()].string(), probabilities[i],
                                            task.class_names()));
    }
  }
  return predictions;
}

}  // namespace halftone::tasks
