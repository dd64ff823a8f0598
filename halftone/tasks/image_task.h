// Image classification: a network of models/ trained with cross entropy, measured by top-1
// accuracy. What its tasks share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "halftone/data/augmentation.h"
#include "halftone/data/dataset.h"
#include "halftone/models/network.h"
#include "halftone/tasks/task.h"

namespace halftone::tasks {

struct ImageSets {
  std::shared_ptr<data::Dataset> train, evaluation;
};

class ImageTask : public Task {
 public:
  // As open() says.
  virtual ImageSets open_images(const std::filesystem::path& data) const = 0;
  virtual data::Augmentation augmentation() const = 0;  // of evaluation: normalises
  virtual data::Augmentation training_augmentation(const std::string& /*model*/) const {
    return augmentation();
  }
  // The network's options for this task's images.
  virtual models::NetworkOptions network(const std::string& model) const = 0;
  virtual std::vector<std::string> class_names() const = 0;

  std::shared_ptr<const TaskData> open(const std::filesystem::path& data,
                                       const OpenOptions&) const override;
  std::shared_ptr<Learner> learner(const RunConfig& config, const Assets& assets) const override;
};

// Data of a task's kind that come from elsewhere. task: must outlive it.
std::shared_ptr<const TaskData> image_data(const ImageTask& task, ImageSets sets);

}  // namespace halftone::tasks
