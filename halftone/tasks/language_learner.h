// A language model as a Learner: cross entropy of the next token, and continuing a text.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "halftone/models/gpt.h"
#include "halftone/tasks/learner.h"
#include "halftone/tasks/text_codec.h"

namespace halftone::tasks {

// Batches as data::TokenWindows gives them. Metrics: cross entropy in nats per character, whatever
// the tokens are, and perplexity, the exponential of the mean per token.
class LanguageLearner : public Learner {
 public:
  LanguageLearner(std::shared_ptr<models::Gpt> gpt, std::shared_ptr<const TextCodec> codec)
      : gpt_(std::move(gpt)), codec_(std::move(codec)) {}

  const TextCodec& codec() const { return *codec_; }
  // Of the text that evaluations read (1).
  void judge_by(double tokens_per_character) { tokens_per_character_ = tokens_per_character; }
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
  std::string continued(const std::string& text, const PredictOptions& options);

  std::shared_ptr<models::Gpt> gpt_;
  std::shared_ptr<const TextCodec> codec_;
  double tokens_per_character_ = 1;
};

}  // namespace halftone::tasks
