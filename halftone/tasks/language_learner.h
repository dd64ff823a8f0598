// A language model of characters as a Learner: cross entropy of the next one, and continuing a
// text.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "halftone/data/vocabulary.h"
#include "halftone/models/gpt.h"
#include "halftone/tasks/learner.h"

namespace halftone::tasks {

// Batches as data::TokenWindows gives them. Metrics: cross entropy in nats per character, and
// perplexity, which is its exponential.
class LanguageLearner : public Learner {
 public:
  LanguageLearner(std::shared_ptr<models::Gpt> gpt, data::Vocabulary vocabulary)
      : gpt_(std::move(gpt)), vocabulary_(std::move(vocabulary)) {}

  std::int64_t context() const { return gpt_->options().context; }

  std::shared_ptr<torch::nn::Module> module() const override { return gpt_; }
  at::Tensor loss(const data::Batch& batch) override;
  std::vector<metrics::MetricKind> metrics() const override;
  std::unique_ptr<Meter> meter() override;

  // inputs: texts that are each continued by options.length characters (300), drawn by
  // options.seed (0) at options.temperature (0.8) from the options.top likeliest (all).
  std::vector<std::string> predict_options() const override {
    return {"length", "temperature", "top", "seed"};
  }
  Answers predict(const std::vector<std::string>& inputs, const PredictOptions& options) override;

 private:
  std::vector<std::int64_t> encode(const std::string& text) const;
  std::string continued(std::vector<std::int64_t> tokens, const PredictOptions& options);

  std::shared_ptr<models::Gpt> gpt_;
  data::Vocabulary vocabulary_;
};

}  // namespace halftone::tasks
