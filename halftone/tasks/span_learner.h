// A network that finds the answer to a question in a text, as a Learner.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "halftone/models/encoder.h"
#include "halftone/tasks/learner.h"
#include "halftone/tasks/question_windows.h"

namespace halftone::tasks {

// A span of a window's tokens that may be the answer.
struct FoundSpan {
  double score = 0;  // sum of the logits of its first and its last token
  std::int64_t window = 0, first = 0, last = 0;
};

// Batches as data::SpanWindows gives them. Metrics: F1 and exact match over questions.
class SpanLearner : public Learner {
 public:
  SpanLearner(std::shared_ptr<models::EncoderSpans> network, data::WordPieceTokenizer tokenizer)
      : network_(std::move(network)), tokenizer_(std::move(tokenizer)) {}

  // Empty windows to fill, as long as the network takes them, at most 384 tokens. They refer to the
  // learner, which must outlive them.
  QuestionWindows windows() const;
  // What the batches of the next evaluations number: a meter looks questions and texts up there.
  void judge_by(std::shared_ptr<const QuestionWindows> windows) { judged_ = std::move(windows); }

  std::shared_ptr<torch::nn::Module> module() const override { return network_; }
  at::Tensor loss(const data::Batch& batch) override;
  std::vector<metrics::MetricKind> metrics() const override;
  std::unique_ptr<Meter> meter() override;

  // inputs: a question and the text that has the answer, of any length, in turn.
  Answers predict(const std::vector<std::string>& inputs, const PredictOptions& options) override;

 private:
  struct Answer {
    std::string text;
    CharacterSpan span;
    double probability;
  };
  Answer answer(const std::string& question, const std::string& text);

  std::shared_ptr<models::EncoderSpans> network_;
  data::WordPieceTokenizer tokenizer_;
  std::shared_ptr<const QuestionWindows> judged_;
};

// The best span of each row of at most `longest` tokens. logits: (N,T,2); text: (N,T) bool, where a
// span may be. windows: the N places of the rows.
std::vector<FoundSpan> best_spans(const at::Tensor& logits, const at::Tensor& text,
                                  const std::vector<std::int64_t>& windows, std::int64_t longest);

}  // namespace halftone::tasks
