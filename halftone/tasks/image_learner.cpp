#include "halftone/tasks/image_learner.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <cstdio>

#include "halftone/metrics/confusion.h"
#include "halftone/metrics/top_k.h"
#include "halftone/report/text_table.h"

namespace halftone::tasks {
namespace {

constexpr std::size_t kPredictBatch = 64;
constexpr std::int64_t kMostShown = 100;  // classes, in a report on each

std::string percentage(double share, int decimals) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f %%", decimals, 100 * share);
  return text;
}

class ImageMeter : public Meter {
 public:
  ImageMeter(ImageLearner& learner, const std::vector<std::string>& class_names)
      : learner_(learner),
        class_names_(class_names),
        confusion_(static_cast<std::int64_t>(class_names.size())) {}

  void add(const data::Batch& batch) override {
    const at::Tensor logits = learner_.logits(batch.input);
    const at::Tensor predicted = logits.argmax(1).cpu(), target = batch.target.cpu();
    const std::int64_t count = target.size(0);
    loss_.add(at::cross_entropy_loss(logits, batch.target).item<double>(), count);
    accuracy_.add(logits, batch.target);
    confusion_.add(target.const_data_ptr<std::int64_t>(), predicted.const_data_ptr<std::int64_t>(),
                   count);
  }

  std::int64_t samples() const override { return loss_.samples(); }
  double loss() const override { return loss_.mean(); }
  std::vector<metrics::MetricValue> values() const override {
    return {{metrics::accuracy_kind(), accuracy_.accuracy(1)}};
  }
  EvaluationDetails details() const override {
    EvaluationDetails details;
    details.metrics = {
        {{.name = "top5_accuracy", .title = "top 5", .share = true}, accuracy_.accuracy(5)}};
    if (confusion_.classes() > kMostShown) return details;
    details.json["confusion"] = confusion_json();
    details.table = {{"class", "images", "found", "right when said", "most often taken for"}};
    for (std::int64_t i = 0; i < confusion_.classes(); ++i) details.table.push_back(class_row(i));
    return details;
  }

 private:
  Json confusion_json() const {
    Json matrix = Json::array();
    for (std::int64_t i = 0; i < confusion_.classes(); ++i) {
      Json row = Json::array();
      for (std::int64_t j = 0; j < confusion_.classes(); ++j) row.push_back(confusion_.count(i, j));
      matrix.push_back(std::move(row));
    }
    return matrix;
  }

  std::vector<std::string> class_row(std::int64_t i) const {
    std::int64_t images = 0, other = -1;
    for (std::int64_t j = 0; j < confusion_.classes(); ++j) {
      const std::int64_t count = confusion_.count(i, j);
      images += count;
      if (j != i && count > 0 && (other < 0 || count > confusion_.count(i, other))) other = j;
    }
    return {class_names_[static_cast<std::size_t>(i)], std::to_string(images),
            percentage(confusion_.recall(i), 1), percentage(confusion_.precision(i), 1),
            other < 0 ? "–" : class_names_[static_cast<std::size_t>(other)]};
  }

  ImageLearner& learner_;
  const std::vector<std::string>& class_names_;
  metrics::RunningLoss loss_;
  metrics::TopKAccuracy accuracy_{{1, 5}};
  metrics::ConfusionMatrix confusion_;
};

using Ranking = std::vector<std::pair<std::string, double>>;

// All classes, the most likely first.
Ranking rank(const at::Tensor& probabilities, const std::vector<std::string>& names) {
  Ranking ranking;
  for (std::size_t i = 0; i < names.size(); ++i) {
    ranking.emplace_back(names[i], probabilities[static_cast<std::int64_t>(i)].item<double>());
  }
  std::stable_sort(ranking.begin(), ranking.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return ranking;
}

Json to_json(const std::string& image, const Ranking& ranking, std::size_t top) {
  Json json;
  json["image"] = image;
  json["class"] = ranking[0].first;
  json["probability"] = ranking[0].second;
  Json list = Json::array();
  for (std::size_t i = 0; i < top && i < ranking.size(); ++i) {
    Json entry;
    entry["class"] = ranking[i].first;
    entry["probability"] = ranking[i].second;
    list.push_back(std::move(entry));
  }
  json["top"] = std::move(list);
  return json;
}

}  // namespace

at::Tensor ImageLearner::loss(const data::Batch& batch) {
  const at::Tensor output = network_->forward(batch.input);
  RECORD_USER_SCOPE("loss");
  return at::cross_entropy_loss(output, batch.target);
}

std::unique_ptr<Meter> ImageLearner::meter() {
  return std::make_unique<ImageMeter>(*this, class_names_);
}

at::Tensor ImageLearner::logits(const at::Tensor& input) {
  return network_->forward(input).to(at::kFloat);
}

// (files, classes).
at::Tensor ImageLearner::probabilities(const std::vector<std::string>& files) {
  std::vector<at::Tensor> result;
  for (std::size_t first = 0; first < files.size(); first += kPredictBatch) {
    std::vector<at::Tensor> inputs;
    for (std::size_t i = first; i < std::min(first + kPredictBatch, files.size()); ++i) {
      inputs.push_back(read_input_(files[i]));
    }
    result.push_back(logits(at::cat(inputs)).softmax(1));
  }
  return at::cat(result);
}

Answers ImageLearner::predict(const std::vector<std::string>& inputs,
                              const PredictOptions& options) {
  const auto top = static_cast<std::size_t>(options.top.value_or(1));
  const at::Tensor all = probabilities(inputs);
  Answers answers;
  answers.json = Json::array();
  report::TextTable table({"image", "class", "probability"});
  for (std::size_t file = 0; file < inputs.size(); ++file) {
    const Ranking ranking = rank(all[static_cast<std::int64_t>(file)], class_names_);
    answers.json.push_back(to_json(inputs[file], ranking, top));
    for (std::size_t i = 0; i < top && i < ranking.size(); ++i) {
      table.add_row(
          {i == 0 ? inputs[file] : "", ranking[i].first, percentage(ranking[i].second, 2)});
    }
  }
  answers.text = table.str();
  return answers;
}

}  // namespace halftone::tasks
