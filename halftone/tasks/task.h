// A task: its data, model, loss, metric and defaults. One file per task defines it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "halftone/data/augmentation.h"
#include "halftone/data/dataset.h"
#include "halftone/models/network.h"

namespace halftone::tasks {

struct Datasets {
  std::shared_ptr<data::Dataset> train, evaluation;
};

// What a person who gives no options gets; the numbers depend on the model.
struct TaskDefaults {
  std::int64_t epochs = 1, batch = 128;
  double lr = 0;            // the peak of the one-cycle schedule
  double weight_decay = 0;  // of weights, not of biases and normalisation layers
};

// Image classification: a network of models/ trained with cross entropy, measured by top-1
// accuracy. Stateless; thread-safe.
class Task {
 public:
  virtual ~Task() = default;

  virtual std::string name() const = 0;     // "fashion-mnist"
  virtual std::string summary() const = 0;  // one line
  virtual std::string default_model() const = 0;
  virtual TaskDefaults defaults(const std::string& model) const = 0;

  // Where the data are when no --data is given. Throws Error that says how to get them.
  virtual std::filesystem::path find_data() const = 0;
  // Throws Error that names the file for data that are missing, truncated or others.
  virtual Datasets open(const std::filesystem::path& data) const = 0;
  virtual data::Augmentation augmentation(bool train) const = 0;

  // The network's options for this task's images.
  virtual models::NetworkOptions network(const std::string& model) const = 0;
  virtual std::vector<std::string> class_names() const = 0;

  // output (N, classes), target (N) -> the mean over the batch.
  virtual at::Tensor loss(const at::Tensor& output, const at::Tensor& target) const;
};

// Throws UsageError with the nearest name.
const Task& find_task(const std::string& name);
std::vector<std::string> task_names();

// Defined in the file of the task.
const Task& fashion_mnist_task();
const Task& cifar10_task();

}  // namespace halftone::tasks
