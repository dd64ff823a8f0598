#include "halftone/tasks/translation_learner.h"

#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/data/text_batches.h"
#include "halftone/data/token_windows.h"
#include "halftone/metrics/bleu.h"

namespace halftone::tasks {
namespace {

constexpr double kLabelSmoothing = 0.1;  // Szegedy et al. 2016, 7; Vaswani et al. 2017, 5.4
constexpr std::int64_t kAskedBeams = 4;  // of predict
// A translation of more than twice the tokens and some is one that does not come to its end.
constexpr std::int64_t kLongestRatio = 2, kLongestMore = 10;

at::Tensor next_logits(models::Translator& translator, const data::Batch& batch) {
  return translator.forward(batch.input, batch.at("mask"), batch.at("prefix"));
}

// Mean over the targets that are not padding; in fp32 under Autocast, which is where it is called.
at::Tensor smoothed_loss(const at::Tensor& logits, const at::Tensor& target, double smoothing) {
  return at::cross_entropy_loss(logits.flatten(0, 1), target.flatten(), {}, at::Reduction::Mean,
                                data::kIgnoredTarget, smoothing);
}

class TranslationMeter : public Meter {
 public:
  using Pairs = std::shared_ptr<const std::vector<data::SentencePair>>;

  TranslationMeter(TranslationLearner& learner, models::Translator& translator, Pairs pairs,
                   std::int64_t beams)
      : learner_(learner), translator_(translator), pairs_(std::move(pairs)), beams_(beams) {}

  void add(const data::Batch& batch) override {
    const at::Tensor logits = next_logits(translator_, batch);
    const auto counted = batch.target.ne(data::kIgnoredTarget).sum().item<std::int64_t>();
    loss_.add(smoothed_loss(logits, batch.target, kLabelSmoothing).item<double>(), counted);
    cross_entropy_.add(smoothed_loss(logits, batch.target, 0).item<double>(), counted);
    const auto texts = learner_.translations(batch.input, batch.at("mask"), beams_);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      bleu_.add(texts[i], (*pairs_)[static_cast<std::size_t>(batch.indices[i])].target);
      translations_[batch.indices[i]] = texts[i];
    }
  }
  std::int64_t samples() const override { return static_cast<std::int64_t>(translations_.size()); }
  double loss() const override { return loss_.mean(); }
  std::vector<metrics::MetricValue> values() const override {
    const auto kinds = learner_.metrics();
    return {{kinds[0], bleu_.score()}, {kinds[1], std::exp(cross_entropy_.mean())}};
  }
  EvaluationDetails details() const override {
    EvaluationDetails details;
    details.metrics = {
        {{.name = "brevity_penalty", .title = "brevity penalty"}, bleu_.brevity_penalty()}};
    details.json["translations"] = Json::array();
    for (const auto& [index, text] : translations_) details.json["translations"].push_back(text);
    return details;
  }

 private:
  TranslationLearner& learner_;
  models::Translator& translator_;
  Pairs pairs_;
  std::int64_t beams_;
  metrics::RunningLoss loss_, cross_entropy_;  // over tokens
  metrics::Bleu bleu_;
  std::map<std::int64_t, std::string> translations_;  // in the data's order, as other tools expect
};

}  // namespace

PieceTokens TranslationLearner::tokens(const std::string& text, const std::string& where) const {
  PieceTokens result{pieces_.encode(text, where)};
  const auto most = static_cast<std::size_t>(positions()) - 1;
  result.cut = result.numbers.size() > most;
  if (result.cut) result.numbers.resize(most);
  result.numbers.push_back(pieces_.end());
  return result;
}

at::Tensor TranslationLearner::loss(const data::Batch& batch) {
  const at::Tensor logits = next_logits(*translator_, batch);
  RECORD_USER_SCOPE("loss");
  return smoothed_loss(logits, batch.target, kLabelSmoothing);
}

std::vector<metrics::MetricKind> TranslationLearner::metrics() const {
  return {{.name = "bleu", .title = "BLEU", .decimals = 2},
          {.name = "perplexity", .higher_is_better = false, .decimals = 3}};
}

std::unique_ptr<Meter> TranslationLearner::meter() {
  if (!pairs_) throw Error("no pairs to judge by", "judge_by() first", "translation");
  return std::make_unique<TranslationMeter>(*this, *translator_, pairs_, beams_);
}

std::vector<std::string> TranslationLearner::translations(const at::Tensor& tokens,
                                                          const at::Tensor& mask,
                                                          std::int64_t beams) {
  const models::BeamOptions options{
      .beams = beams,
      .start = pieces_.start(),
      .end = pieces_.end(),
      .never = {pieces_.padding(), pieces_.unknown(), pieces_.start()},
      .longest = std::min(positions(), kLongestRatio * tokens.size(1) + kLongestMore)};
  std::vector<std::string> texts;
  for (const auto& found : models::beam_search(*translator_, tokens, mask, options)) {
    texts.push_back(pieces_.decode(found));
  }
  return texts;
}

Answers TranslationLearner::predict(const std::vector<std::string>& inputs, const PredictOptions&) {
  const auto device = translator_->parameters().front().device();
  Answers answers;
  answers.json = Json::array();
  for (const std::string& input : inputs) {
    const std::string where = "predict " + quote(input);
    const PieceTokens asked = tokens(input, where);
    if (asked.numbers.size() == 1) throw UsageError("an empty text", "a sentence", "predict");
    if (asked.cut) {
      throw UsageError("a text of more than " + std::to_string(positions() - 1) + " tokens",
                       "a shorter one", where);
    }
    const at::Tensor text = at::tensor(asked.numbers, at::kLong).unsqueeze(0).to(device);
    const auto translation = translations(text, at::ones_like(text, at::kBool), kAskedBeams)[0];
    answers.text += translation + "\n";
    Json entry;
    entry["text"] = input;
    entry["translation"] = translation;
    answers.json.push_back(std::move(entry));
  }
  return answers;
}

}  // namespace halftone::tasks
