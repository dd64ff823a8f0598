// The published CIFAR-10 speed run as a recipe: network, optimizer, augmentation, evaluation.
// Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (arXiv:2404.00498), whose numbers
// are taken (airbench94), with the mean of the loss for its sum: a rate that is larger by the size
// of the batch.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "halftone/models/fast_net.h"
#include "halftone/tasks/image_learner.h"
#include "halftone/tasks/task.h"

namespace halftone::tasks {

TaskDefaults fast_defaults();

// normalise: that of evaluation. Adds translation by up to two pixels and the alternating flip.
data::Augmentation fast_augmentation(data::Augmentation normalise);

class FastLearner : public ImageLearner {
 public:
  FastLearner(std::shared_ptr<models::FastNet> network, std::vector<std::string> class_names,
              ReadInput read_input)
      : ImageLearner(network, std::move(class_names), std::move(read_input)),
        fast_(std::move(network)) {}

  at::Tensor loss(const data::Batch& batch) override;  // with label smoothing
  // Whitens by 5000 of the training images.
  void initialise(const data::ImageBatches& training) override;
  // The whitening layer's bias is frozen after three epochs. Evaluations before the last epoch's
  // see each image once.
  void begin_epoch(std::int64_t epoch, bool last) override;
  // Half of the image, half of it moved by a pixel up and left and down and right, each also
  // mirrored: six views.
  at::Tensor logits(const at::Tensor& input) override;

 private:
  std::shared_ptr<models::FastNet> fast_;
  bool several_views_ = true;
};

}  // namespace halftone::tasks
