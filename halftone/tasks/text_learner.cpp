#include "halftone/tasks/text_learner.h"

#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/record_function.h>

#include <cstdio>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/data/sets/labelled_lines.h"
#include "halftone/data/text_batches.h"
#include "halftone/metrics/binary_scores.h"
#include "halftone/metrics/top_k.h"
#include "halftone/report/text_table.h"

namespace halftone::tasks {
namespace {

constexpr double kThreshold = 0.5;  // of the positive class's probability

// In fp32 under Autocast, which is where it is called.
at::Tensor class_loss(const at::Tensor& logits, const at::Tensor& target) {
  return at::cross_entropy_loss(logits, target);
}

class TextMeter : public Meter {
 public:
  TextMeter(TextClassifier& classifier, std::vector<metrics::MetricKind> kinds)
      : classifier_(classifier), kinds_(std::move(kinds)) {}

  void add(const data::Batch& batch) override {
    const at::Tensor logits = classifier_.forward(batch.input, batch.at("mask"));
    loss_.add(class_loss(logits, batch.target).item<double>(), logits.size(0));
    accuracy_.add(logits, batch.target);
    const at::Tensor positive = logits.to(at::kDouble).softmax(1).select(1, 1).cpu();
    const at::Tensor target = batch.target.cpu();
    for (std::int64_t i = 0; i < positive.size(0); ++i) {
      scores_.add(positive[i].item<double>(), target[i].item<std::int64_t>() == 1);
    }
  }
  std::int64_t samples() const override { return loss_.samples(); }
  double loss() const override { return loss_.mean(); }
  std::vector<metrics::MetricValue> values() const override {
    return {{kinds_[0], accuracy_.accuracy()}, {kinds_[1], scores_.f1(kThreshold)}};
  }
  EvaluationDetails details() const override {
    return {.metrics = {{{.name = "precision"}, scores_.precision(kThreshold)},
                        {{.name = "recall"}, scores_.recall(kThreshold)},
                        {{.name = "roc_auc", .title = "ROC-AUC"}, scores_.roc_auc()},
                        {{.name = "pr_auc", .title = "PR-AUC"}, scores_.average_precision()}},
            .json = Json::object(),
            .table = {}};
  }

 private:
  TextClassifier& classifier_;
  std::vector<metrics::MetricKind> kinds_;
  metrics::RunningLoss loss_;
  metrics::TopKAccuracy accuracy_;
  metrics::BinaryScores scores_;
};

}  // namespace

at::Tensor TextLearner::loss(const data::Batch& batch) {
  const at::Tensor output = classifier_->forward(batch.input, batch.at("mask"));
  RECORD_USER_SCOPE("loss");
  return class_loss(output, batch.target);
}

std::vector<metrics::MetricKind> TextLearner::metrics() const {
  return {metrics::accuracy_kind(), {.name = "f1", .title = "F1"}};
}

std::unique_ptr<Meter> TextLearner::meter() {
  return std::make_unique<TextMeter>(*classifier_, metrics());
}

std::vector<std::int64_t> TextLearner::asked(const std::string& input) const {
  const std::string where = "predict " + quote(input);
  TextTokens tokens = classifier_->tokens(input, where);
  if (data::words_of(input).empty()) {
    throw UsageError("a text without a word", "a sentence", "predict");
  }
  if (tokens.cut) {
    throw UsageError("a text of more than " + std::to_string(tokens.numbers.size()) + " tokens",
                     "a shorter one", where);
  }
  return std::move(tokens.numbers);
}

Answers TextLearner::predict(const std::vector<std::string>& inputs, const PredictOptions&) {
  std::vector<data::LabelledText> texts;
  std::vector<std::int64_t> indices;
  for (const std::string& input : inputs) {
    texts.push_back({asked(input), 0});
    indices.push_back(static_cast<std::int64_t>(indices.size()));
  }
  const data::Batch batch = data::TextBatches(std::move(texts)).build(indices, 0, 0);
  const at::Tensor shares =
      classifier_->forward(batch.input, batch.at("mask")).to(at::kFloat).softmax(1);
  Answers answers;
  answers.json = Json::array();
  report::TextTable table({"text", "class", "probability"});
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const at::Tensor share = shares[static_cast<std::int64_t>(i)];
    const auto best = share.argmax().item<std::int64_t>();
    const std::string& name = class_names_[static_cast<std::size_t>(best)];
    const double probability = share[best].item<double>();
    char percentage[32];
    std::snprintf(percentage, sizeof percentage, "%.2f %%", 100 * probability);
    table.add_row({inputs[i], name, percentage});
    Json entry;
    entry["text"] = inputs[i];
    entry["class"] = name;
    entry["probability"] = probability;
    answers.json.push_back(std::move(entry));
  }
  answers.text = table.str();
  return answers;
}

}  // namespace halftone::tasks
