// A classifier of sentences as a Learner.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "halftone/data/vocabulary.h"
#include "halftone/models/text_cnn.h"
#include "halftone/tasks/learner.h"

namespace halftone::tasks {

inline constexpr const char* kPaddingWord = "<pad>";
inline constexpr const char* kUnknownWord = "<unk>";

// The number of each word, that of kUnknownWord for those that the vocabulary lacks.
std::vector<std::int64_t> numbers_of_words(const data::Vocabulary& vocabulary,
                                           const std::vector<std::string>& words);

// Two classes, the second the positive one. Batches as data::TextBatches gives them.
class TextLearner : public Learner {
 public:
  TextLearner(std::shared_ptr<models::TextCnn> cnn, data::Vocabulary vocabulary,
              std::vector<std::string> class_names)
      : cnn_(std::move(cnn)),
        vocabulary_(std::move(vocabulary)),
        class_names_(std::move(class_names)) {}

  std::shared_ptr<torch::nn::Module> module() const override { return cnn_; }
  at::Tensor loss(const data::Batch& batch) override;
  std::vector<metrics::MetricKind> metrics() const override;
  std::unique_ptr<Meter> meter() override;

  // inputs: sentences.
  Answers predict(const std::vector<std::string>& inputs, const PredictOptions& options) override;

 private:
  std::shared_ptr<models::TextCnn> cnn_;
  data::Vocabulary vocabulary_;
  std::vector<std::string> class_names_;
};

}  // namespace halftone::tasks
