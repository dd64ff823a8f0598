// A network that names the class of every pixel as a Learner.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "halftone/data/mask_batches.h"
#include "halftone/models/unet.h"
#include "halftone/report/canvas.h"
#include "halftone/tasks/learner.h"

namespace halftone::tasks {

struct SegmentationFacts {
  std::vector<std::string> class_names;
  std::vector<report::Colour> colours;  // of the classes in a picture
  std::vector<double> weights;          // of the classes in the loss
  data::ImageView view;                 // of evaluation
};

// Cross entropy, in fp32 under Autocast, each pixel by its class's weight, divided by the sum of
// those weights: 0 where there is none. logits: (N, classes, H, W); target: (N, H, W) int64, where
// `classes` stands for what is passed over; weights: (classes), fp32.
at::Tensor pixel_loss(const at::Tensor& logits, const at::Tensor& target,
                      const at::Tensor& weights);

class SegmentationLearner : public Learner {
 public:
  SegmentationLearner(std::shared_ptr<models::UNet> network, SegmentationFacts facts);

  std::shared_ptr<torch::nn::Module> module() const override { return network_; }
  at::Tensor loss(const data::Batch& batch) override;
  std::vector<metrics::MetricKind> metrics() const override;
  std::unique_ptr<Meter> meter() override;

  // inputs: image files of any size, JPEG or PNG. Writes STEM.segments.png for each.
  std::vector<std::string> predict_options() const override { return {"pictures"}; }
  Answers predict(const std::vector<std::string>& inputs, const PredictOptions& options) override;

 private:
  at::Tensor classes_of(const at::Tensor& image);
  report::Canvas overlay(const at::Tensor& image, const at::Tensor& classes) const;

  std::shared_ptr<models::UNet> network_;
  SegmentationFacts facts_;
  at::Tensor weights_;
};

}  // namespace halftone::tasks
