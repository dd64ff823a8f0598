// A task that is learnt in a few steps, for tests that train.
#pragma once

#include <ATen/Functions.h>

#include <memory>
#include <string>
#include <vector>

#include "halftone/tasks/image_task.h"
#include "halftone/tasks/run_config.h"

namespace halftone::tasks {

// 28x28 images whose bright rows tell the class.
inline std::shared_ptr<const TaskData> striped_images(std::int64_t count) {
  at::Tensor images = at::randint(0, 60, {count, 1, 28, 28}, at::kByte);
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < count; ++i) {
    images[i].narrow(1, 2 * (i % 10), 3).fill_(230);
    labels.push_back(i % 10);
  }
  const auto& task = dynamic_cast<const ImageTask&>(fashion_mnist_task());
  auto set = std::make_shared<data::MemoryDataset>(images, labels, task.class_names());
  return image_data(task, {set, set});
}

inline RunConfig small_config(const std::string& preset) {
  RunConfig config;
  config.task = "fashion-mnist";
  config.model = "mlp";
  config.data = "/not/used";
  config.steps = 24;
  config.batch = 32;
  config.lr = 0.05;
  config.precision = preset;
  config.policy = Policy::preset(preset);
  return config;
}

}  // namespace halftone::tasks
