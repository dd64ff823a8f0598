// A classifier of images as a Learner.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "halftone/data/augmentation.h"
#include "halftone/data/image_batches.h"
#include "halftone/models/network.h"
#include "halftone/tasks/learner.h"

namespace halftone::tasks {

class ImageLearner : public Learner {
 public:
  // augmentation: of evaluation.
  ImageLearner(std::shared_ptr<models::Network> network, std::vector<std::string> class_names,
               data::Augmentation augmentation)
      : network_(std::move(network)),
        class_names_(std::move(class_names)),
        augmentation_(std::move(augmentation)) {}

  std::shared_ptr<torch::nn::Module> module() const override { return network_; }
  at::Tensor loss(const data::Batch& batch) override;
  std::vector<metrics::MetricKind> metrics() const override { return {metrics::accuracy_kind()}; }
  std::unique_ptr<Meter> meter() override;

  // TaskData::initialise() of images: as evaluation sees them.
  virtual void initialise(const data::ImageBatches& /*training*/) {}
  // (N, classes), fp32: what evaluation and predict() go by.
  virtual at::Tensor logits(const at::Tensor& input);

  // inputs: files of images of any size, JPEG or PNG, brought to the network's shape.
  std::vector<std::string> predict_options() const override { return {"top"}; }
  Answers predict(const std::vector<std::string>& inputs, const PredictOptions& options) override;

 private:
  at::Tensor probabilities(const std::vector<std::string>& files);

  std::shared_ptr<models::Network> network_;
  std::vector<std::string> class_names_;
  data::Augmentation augmentation_;
};

}  // namespace halftone::tasks
