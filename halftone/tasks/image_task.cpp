#include "halftone/tasks/image_task.h"

#include <utility>

#include "halftone/data/image_batches.h"
#include "halftone/tasks/image_learner.h"
#include "halftone/tasks/loaders.h"

namespace halftone::tasks {
namespace {

class ImageData : public TaskData {
 public:
  ImageData(const ImageTask& task, ImageSets sets) : task_(task), sets_(std::move(sets)) {}

  std::shared_ptr<data::BatchSource> train(const RunConfig& config, Learner&) const override {
    return train_loader(batches(sets_.train, true), config, task_.facts().noun);
  }
  std::shared_ptr<data::BatchSource> evaluation(std::int64_t batch, Learner&) const override {
    return evaluation_loader(batches(sets_.evaluation, false), batch);
  }

 private:
  std::shared_ptr<data::ImageBatches> batches(std::shared_ptr<data::Dataset> set,
                                              bool train) const {
    return std::make_shared<data::ImageBatches>(std::move(set), task_.augmentation(train));
  }

  const ImageTask& task_;
  ImageSets sets_;
};

}  // namespace

std::shared_ptr<const TaskData> image_data(const ImageTask& task, ImageSets sets) {
  return std::make_shared<ImageData>(task, std::move(sets));
}

std::shared_ptr<const TaskData> ImageTask::open(const std::filesystem::path& data) const {
  return image_data(*this, open_images(data));
}

std::shared_ptr<Learner> ImageTask::learner(const RunConfig& config, const Assets&) const {
  models::NetworkOptions options = network(config.model);
  options.seed = config.seed;
  options.init = config.policy.init;
  return std::make_shared<ImageLearner>(models::make_network(options), class_names(),
                                        augmentation(false));
}

}  // namespace halftone::tasks
