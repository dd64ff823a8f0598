// A classifier of images as a Learner.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "halftone/data/image_batches.h"
#include "halftone/models/network.h"
#include "halftone/tasks/learner.h"

namespace halftone::tasks {

class ImageLearner : public Learner {
 public:
  // An image file as evaluation sees it, (1,C,H,W).
  using ReadInput = std::function<at::Tensor(const std::string& file)>;

  ImageLearner(std::shared_ptr<models::Network> network, std::vector<std::string> class_names,
               ReadInput read_input)
      : network_(std::move(network)),
        class_names_(std::move(class_names)),
        read_input_(std::move(read_input)) {}

  std::shared_ptr<torch::nn::Module> module() const override { return network_; }
  const models::NetworkOptions& network_options() const { return network_->options(); }
  const std::vector<std::string>& class_names() const { return class_names_; }
  at::Tensor loss(const data::Batch& batch) override;
  std::vector<metrics::MetricKind> metrics() const override { return {metrics::accuracy_kind()}; }
  std::unique_ptr<Meter> meter() override;

  // TaskData::initialise() of images: as evaluation sees them.
  virtual void initialise(const data::ImageBatches& /*training*/) {}
  // (N, classes), fp32: what evaluation and predict() go by.
  virtual at::Tensor logits(const at::Tensor& input);

  // inputs: files of images.
  std::vector<std::string> predict_options() const override { return {"top"}; }
  Answers predict(const std::vector<std::string>& inputs, const PredictOptions& options) override;

 private:
  at::Tensor probabilities(const std::vector<std::string>& files);

  std::shared_ptr<models::Network> network_;
  std::vector<std::string> class_names_;
  ReadInput read_input_;
};

}  // namespace halftone::tasks
