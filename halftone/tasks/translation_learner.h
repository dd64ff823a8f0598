// A translator as a Learner: label-smoothed cross entropy, BLEU, and translating a typed sentence.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "halftone/data/codec/sentence_piece.h"
#include "halftone/data/sets/sentence_pairs.h"
#include "halftone/models/beam_search.h"
#include "halftone/tasks/learner.h"

namespace halftone::tasks {

struct PieceTokens {
  std::vector<std::int64_t> numbers;  // the last one: the end
  bool cut = false;                   // the text is longer than the positions: its end is missing
};

// Batches as data::PairBatches gives them.
class TranslationLearner : public Learner {
 public:
  TranslationLearner(std::shared_ptr<models::Translator> translator, data::SentencePieces pieces)
      : translator_(std::move(translator)), pieces_(std::move(pieces)) {}

  // Thread-safe. where: what the text is, for the message. Throws Error for bytes that are no
  // UTF-8.
  PieceTokens tokens(const std::string& text, const std::string& where) const;
  std::int64_t positions() const { return translator_->options().positions; }
  std::int64_t start() const { return pieces_.start(); }

  // What a Meter made from now on judges by: place i of an evaluation batch's indices is pair i of
  // these, translated with that many beams.
  void judge_by(std::shared_ptr<const std::vector<data::SentencePair>> pairs, std::int64_t beams) {
    pairs_ = std::move(pairs);
    beams_ = beams;
  }

  std::shared_ptr<torch::nn::Module> module() const override { return translator_; }
  at::Tensor loss(const data::Batch& batch) override;
  std::vector<metrics::MetricKind> metrics() const override;
  std::unique_ptr<Meter> meter() override;

  // inputs: sentences, none of them longer than the network takes.
  Answers predict(const std::vector<std::string>& inputs, const PredictOptions& options) override;

  // The texts of a batch translated, in its order.
  std::vector<std::string> translations(const at::Tensor& tokens, const at::Tensor& mask,
                                        std::int64_t beams);

 private:
  std::shared_ptr<models::Translator> translator_;
  data::SentencePieces pieces_;
  std::shared_ptr<const std::vector<data::SentencePair>> pairs_;
  std::int64_t beams_ = 1;
};

}  // namespace halftone::tasks
