#include "halftone/tasks/image_task.h"

#include <utility>

#include "halftone/data/codec/image.h"
#include "halftone/data/image_batches.h"
#include "halftone/tasks/fast_learner.h"
#include "halftone/tasks/loaders.h"

namespace halftone::tasks {
namespace {

class ImageData : public TaskData {
 public:
  ImageData(const ImageTask& task, ImageSets sets) : task_(task), sets_(std::move(sets)) {}

  std::shared_ptr<data::BatchSource> train(const RunConfig& config, Learner&) const override {
    return train_loader(batches(sets_.train, task_.training_augmentation(config.model)), config,
                        task_.facts().noun);
  }
  std::shared_ptr<data::BatchSource> evaluation(std::int64_t batch, Learner&) const override {
    return evaluation_loader(batches(sets_.evaluation, task_.augmentation()), batch);
  }
  void initialise(Learner& learner) const override {
    dynamic_cast<ImageLearner&>(learner).initialise(*batches(sets_.train, task_.augmentation()));
  }

 private:
  static std::shared_ptr<data::ImageBatches> batches(std::shared_ptr<data::Dataset> set,
                                                     const data::Augmentation& augmentation) {
    return std::make_shared<data::ImageBatches>(std::move(set), augmentation);
  }

  const ImageTask& task_;
  ImageSets sets_;
};

// As a data set, so that pixels take the same way into the network as in training.
at::Tensor classifier_input(const std::string& file, const models::NetworkOptions& shape,
                            const data::Augmentation& augmentation) {
  const at::Tensor image =
      data::fit_image(data::load_image(file), {shape.channels, shape.height, shape.width});
  const auto set = std::make_shared<data::MemoryDataset>(
      image.unsqueeze(0), std::vector<std::int64_t>{0}, std::vector<std::string>{file});
  const std::int64_t first = 0;
  return data::ImageBatches(set, augmentation).build({&first, 1}, 0, 0).input;
}

}  // namespace

std::shared_ptr<const TaskData> image_data(const ImageTask& task, ImageSets sets) {
  return std::make_shared<ImageData>(task, std::move(sets));
}

std::shared_ptr<const TaskData> ImageTask::open(const std::filesystem::path& data,
                                                const OpenOptions&) const {
  return image_data(*this, open_images(data));
}

std::shared_ptr<Learner> ImageTask::learner(const RunConfig& config, const Assets&) const {
  models::NetworkOptions options = network(config.model);
  options.seed = config.seed;
  options.init = config.policy.init;
  auto network = models::make_network(options);
  const ImageLearner::ReadInput read = [augmentation = augmentation(),
                                        network](const std::string& file) {
    return classifier_input(file, network->options(), augmentation);
  };
  if (auto fast = std::dynamic_pointer_cast<models::FastNet>(network)) {
    return std::make_shared<FastLearner>(std::move(fast), class_names(), read);
  }
  return std::make_shared<ImageLearner>(std::move(network), class_names(), read);
}

}  // namespace halftone::tasks
