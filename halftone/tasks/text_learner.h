// A classifier of sentences as a Learner.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "halftone/tasks/learner.h"
#include "halftone/tasks/text_classifier.h"

namespace halftone::tasks {

// Two classes, the second the positive one. Batches as data::TextBatches gives them.
class TextLearner : public Learner {
 public:
  TextLearner(std::shared_ptr<TextClassifier> classifier, std::vector<std::string> class_names)
      : classifier_(std::move(classifier)), class_names_(std::move(class_names)) {}

  const TextClassifier& classifier() const { return *classifier_; }

  std::shared_ptr<torch::nn::Module> module() const override { return classifier_->module(); }
  at::Tensor loss(const data::Batch& batch) override;
  std::vector<metrics::MetricKind> metrics() const override;
  std::unique_ptr<Meter> meter() override;

  // inputs: sentences, none of them longer than the network takes.
  Answers predict(const std::vector<std::string>& inputs, const PredictOptions& options) override;

 private:
  std::vector<std::int64_t> asked(const std::string& input) const;  // its tokens

  std::shared_ptr<TextClassifier> classifier_;
  std::vector<std::string> class_names_;
};

}  // namespace halftone::tasks
