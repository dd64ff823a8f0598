// A network that finds things in images and draws boxes around them as a Learner.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "halftone/data/box_batches.h"
#include "halftone/models/fcos.h"
#include "halftone/models/fcos_loss.h"
#include "halftone/report/canvas.h"
#include "halftone/tasks/learner.h"

namespace halftone::tasks {

struct DetectionFacts {
  std::vector<std::string> class_names;
  std::vector<report::Colour> colours;  // of the classes in a picture
  data::ImageView view;                 // of evaluation
};

class DetectionLearner : public Learner {
 public:
  DetectionLearner(std::shared_ptr<models::Fcos> network, DetectionFacts facts)
      : network_(std::move(network)), facts_(std::move(facts)) {}

  std::shared_ptr<torch::nn::Module> module() const override { return network_; }
  at::Tensor loss(const data::Batch& batch) override;
  std::vector<metrics::MetricKind> metrics() const override;
  std::unique_ptr<Meter> meter() override;

  // inputs: image files of any size, JPEG or PNG. Writes STEM.boxes.png for each.
  std::vector<std::string> predict_options() const override { return {"pictures"}; }
  Answers predict(const std::vector<std::string>& inputs, const PredictOptions& options) override;

 private:
  std::vector<models::DetectedBox> find(const at::Tensor& image);
  report::Canvas drawn(const at::Tensor& image,
                       const std::vector<models::DetectedBox>& found) const;
  Json to_json(const std::vector<models::DetectedBox>& found) const;

  std::shared_ptr<models::Fcos> network_;
  DetectionFacts facts_;
};

}  // namespace halftone::tasks
