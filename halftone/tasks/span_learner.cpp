#include "halftone/tasks/span_learner.h"

#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <numeric>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/data/codec/answer_words.h"
#include "halftone/metrics/answer_scores.h"

namespace halftone::tasks {
namespace {

constexpr std::int64_t kLongestWindow = 384, kLongestAnswer = 30;  // tokens; Devlin et al.'s code
constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

at::Tensor span_logits(models::EncoderSpans& network, const data::Batch& batch) {
  return network.forward(batch.input, batch.at("mask"), batch.at("types"));
}

// Mean of the cross entropies of the first and the last token over the window's tokens; in fp32
// under Autocast, which is where it is called.
at::Tensor span_loss(const at::Tensor& logits, const data::Batch& batch) {
  const auto absent = batch.at("mask").logical_not().unsqueeze(2);
  const auto scores = logits.masked_fill(absent, kMinusInfinity);
  return at::cross_entropy_loss(scores.transpose(1, 2).flatten(0, 1), batch.target.flatten());
}

class SpanMeter : public Meter {
 public:
  SpanMeter(models::EncoderSpans& network, std::shared_ptr<const QuestionWindows> questions,
            std::vector<metrics::MetricKind> kinds)
      : network_(network), questions_(std::move(questions)), kinds_(std::move(kinds)) {}

  void add(const data::Batch& batch) override {
    const at::Tensor logits = span_logits(network_, batch);
    loss_.add(span_loss(logits, batch).item<double>(), logits.size(0));
    for (const auto& span : best_spans(logits, batch.at("text"), batch.indices, kLongestAnswer)) {
      const auto [best, is_new] = best_.emplace(questions_->question_of(span.window), span);
      if (!is_new && span.score > best->second.score) best->second = span;
    }
  }
  std::int64_t samples() const override { return static_cast<std::int64_t>(best_.size()); }
  double loss() const override { return loss_.mean(); }

  std::vector<metrics::MetricValue> values() const override {
    metrics::AnswerScores scores;
    for (const auto& [question, span] : best_) {
      const auto place = questions_->characters(span.window, span.first, span.last);
      std::vector<metrics::AnswerScores::Words> right;
      for (const auto& answer : questions_->question(question).answers) {
        right.push_back(data::answer_words(answer.text));
      }
      scores.add(data::answer_words(questions_->text(question, place)), right);
    }
    return {{kinds_[0], scores.f1()}, {kinds_[1], scores.exact_match()}};
  }

 private:
  models::EncoderSpans& network_;
  std::shared_ptr<const QuestionWindows> questions_;
  std::vector<metrics::MetricKind> kinds_;
  metrics::RunningLoss loss_;               // over windows
  std::map<std::int64_t, FoundSpan> best_;  // of each question
};

}  // namespace

std::vector<FoundSpan> best_spans(const at::Tensor& logits, const at::Tensor& text,
                                  const std::vector<std::int64_t>& windows, std::int64_t longest) {
  const at::Tensor scores = logits.to(at::kDouble).cpu().contiguous();
  const at::Tensor inside = text.cpu().contiguous();
  const auto score = scores.accessor<double, 3>();
  const auto is_text = inside.accessor<bool, 2>();
  const std::int64_t width = scores.size(1);
  std::vector<FoundSpan> found;
  for (std::int64_t row = 0; row < scores.size(0); ++row) {
    FoundSpan best{kMinusInfinity, windows[static_cast<std::size_t>(row)], 0, 0};
    for (std::int64_t first = 0; first < width; ++first) {
      for (std::int64_t last = first; last < std::min(width, first + longest); ++last) {
        if (!is_text[row][first] || !is_text[row][last]) continue;
        const double sum = score[row][first][0] + score[row][last][1];
        const bool none = best.last == 0;  // a NaN is no answer, but there must be one
        if (sum > best.score || none) best = {sum, best.window, first, last};
      }
    }
    found.push_back(best);
  }
  return found;
}

QuestionWindows SpanLearner::windows() const {
  return {tokenizer_, std::min(kLongestWindow, network_->encoder().options().positions)};
}

at::Tensor SpanLearner::loss(const data::Batch& batch) {
  const at::Tensor logits = span_logits(*network_, batch);
  RECORD_USER_SCOPE("loss");
  return span_loss(logits, batch);
}

std::vector<metrics::MetricKind> SpanLearner::metrics() const {
  return {{.name = "f1", .title = "F1", .share = true},
          {.name = "exact_match", .title = "EM", .share = true}};
}

std::unique_ptr<Meter> SpanLearner::meter() {
  return std::make_unique<SpanMeter>(*network_, judged_, metrics());
}

SpanLearner::Answer SpanLearner::answer(const std::string& question, const std::string& text) {
  const std::string where = "predict " + quote(question);
  for (const std::string& each : {question, text}) {
    if (tokenizer_.pieces(each, "predict " + quote(each)).empty()) {
      throw UsageError("an empty text", "a question and a text", where);
    }
  }
  QuestionWindows asked = windows();
  if (asked.add({text, {{"", question, {}}}}, false, where) > 0) {
    throw UsageError(
        "a question of more than " + std::to_string(asked.longest_question()) + " tokens",
        "a shorter one", where);
  }
  const auto batches = asked.batches();
  const auto device = network_->parameters().front().device();
  FoundSpan best{kMinusInfinity, 0, 0, 0};
  double probability = 0;
  for (std::int64_t i = 0; i < batches->size(); ++i) {
    data::Batch batch = batches->build(std::vector<std::int64_t>{i}, 0, 0);
    const at::Tensor logits = network_->forward(batch.input.to(device), batch.at("mask").to(device),
                                                batch.at("types").to(device));
    const FoundSpan span = best_spans(logits, batch.at("text"), {i}, kLongestAnswer)[0];
    if (i > 0 && !(span.score > best.score)) continue;
    best = span;
    const at::Tensor shares = logits[0].to(at::kDouble).softmax(0);
    probability = (shares[span.first][0] * shares[span.last][1]).item<double>();
  }
  const CharacterSpan span = asked.characters(best.window, best.first, best.last);
  return {asked.text(0, span), span, probability};
}

Answers SpanLearner::predict(const std::vector<std::string>& inputs, const PredictOptions&) {
  if (inputs.size() % 2 != 0) {
    throw UsageError(std::to_string(inputs.size()) + " inputs",
                     "a question and the text that has its answer, in turn", "predict");
  }
  Answers answers;
  answers.json = Json::array();
  for (std::size_t i = 0; i < inputs.size(); i += 2) {
    const Answer found = answer(inputs[i], inputs[i + 1]);
    char percentage[32];
    std::snprintf(percentage, sizeof percentage, " (%.2f %%)\n", 100 * found.probability);
    answers.text += inputs[i] + "\n  " + found.text + percentage;
    Json entry;
    entry["question"] = inputs[i];
    entry["answer"] = found.text;
    entry["begin"] = found.span.begin;
    entry["end"] = found.span.end;
    entry["probability"] = found.probability;
    answers.json.push_back(std::move(entry));
  }
  return answers;
}

}  // namespace halftone::tasks
