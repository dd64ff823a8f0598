#include "halftone/tasks/detection_learner.h"

#include <ATen/Functions.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "halftone/base/file.h"
#include "halftone/data/codec/image.h"
#include "halftone/metrics/box_scores.h"
#include "halftone/report/text_table.h"
#include "halftone/tasks/pictures.h"

namespace halftone::tasks {
namespace {

constexpr double kShownScore = 0.4;  // from which predict() names and draws what it found
constexpr double kLine = 2.5, kLetter = 9;

std::vector<metrics::MetricKind> detection_kinds() {
  return {{.name = "map_50", .title = "mAP@0.5", .share = true},
          {.name = "map", .title = "mAP@[.5:.95]", .share = true},
          {.name = "voc_map", .title = "VOC 11-point", .share = true}};
}

class DetectionMeter : public Meter {
 public:
  DetectionMeter(models::Fcos& network, const std::vector<std::string>& names)
      : network_(network), names_(names), scores_(static_cast<std::int64_t>(names.size())) {}

  void add(const data::Batch& batch) override {
    const models::FcosOutput output = network_.forward(batch.input);
    const at::Tensor &boxes = batch.at("boxes"), &classes = batch.at("classes"),
                     &offsets = batch.at("offsets"), &difficult = batch.at("difficult");
    const std::int64_t count = batch.input.size(0);
    loss_.add(models::fcos_loss(output, boxes, classes, offsets).item<double>(), count);
    for (std::int64_t n = 0; n < count; ++n) {
      std::vector<metrics::ScoredBox> truths, found;
      for (auto i = offsets[n].item<std::int64_t>(); i < offsets[n + 1].item<std::int64_t>(); ++i) {
        const float* edge = boxes.const_data_ptr<float>() + 4 * i;
        truths.push_back({{edge[0], edge[1], edge[2], edge[3]},
                          classes[i].item<std::int64_t>(),
                          0,
                          difficult[i].item<bool>()});
      }
      for (const auto& box :
           models::fcos_detections(output, n, batch.input.size(2), batch.input.size(3))) {
        found.push_back({box.box, box.klass, box.score, false});
      }
      scores_.add(truths, found);
    }
  }
  std::int64_t samples() const override { return loss_.samples(); }
  double loss() const override { return loss_.mean(); }
  std::vector<metrics::MetricValue> values() const override {
    const auto kinds = detection_kinds();
    std::vector<metrics::MetricValue> values{{kinds[0], scores_.mean_average_precision(0.5)},
                                             {kinds[1], scores_.coco_average_precision()},
                                             {kinds[2], scores_.voc_11_point()}};
    // Where nothing is there, none of them has a value.
    if (std::isnan(values[0].value)) return {};
    return values;
  }
  EvaluationDetails details() const override {
    EvaluationDetails details;
    details.table = {{"class", "boxes", "AP@0.5", "AP@0.75"}};
    details.json["ap_50"] = Json::object();
    for (std::int64_t c = 0; c < scores_.classes(); ++c) {
      const std::string& name = names_[static_cast<std::size_t>(c)];
      std::vector<std::string> row{name, std::to_string(scores_.truths(c))};
      for (const double iou : {0.5, 0.75}) {
        const double ap = scores_.average_precision(c, iou);
        row.push_back(std::isnan(ap) ? "–" : metrics::show(detection_kinds()[0], ap));
      }
      details.table.push_back(std::move(row));
      if (scores_.truths(c)) details.json["ap_50"][name] = scores_.average_precision(c, 0.5);
    }
    return details;
  }

 private:
  models::Fcos& network_;
  const std::vector<std::string>& names_;
  metrics::RunningLoss loss_;
  metrics::BoxScores scores_;
};

std::string two_decimals(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

}  // namespace

at::Tensor DetectionLearner::loss(const data::Batch& batch) {
  const models::FcosOutput output = network_->forward(batch.input);
  RECORD_USER_SCOPE("loss");
  return models::fcos_loss(output, batch.at("boxes"), batch.at("classes"), batch.at("offsets"));
}

std::vector<metrics::MetricKind> DetectionLearner::metrics() const { return detection_kinds(); }

std::unique_ptr<Meter> DetectionLearner::meter() {
  return std::make_unique<DetectionMeter>(*network_, facts_.class_names);
}

// image: uint8 (3,H,W) -> boxes in its pixels.
std::vector<models::DetectedBox> DetectionLearner::find(const at::Tensor& image) {
  const std::int64_t height = facts_.view.window.height, width = facts_.view.window.width;
  const auto window = data::whole_window(image.size(1), image.size(2));
  auto found = models::fcos_detections(network_->forward(data::single_input(facts_.view, image)), 0,
                                       height, width, {.least_score = kShownScore});
  for (auto& box : found) box.box = data::move_box_back(box.box, window, height, width);
  return found;
}

report::Canvas DetectionLearner::drawn(const at::Tensor& image,
                                       const std::vector<models::DetectedBox>& found) const {
  report::Canvas canvas = photograph(image);
  for (const auto& [box, klass, score] : found) {
    const auto k = static_cast<std::size_t>(klass);
    const double left = box[0], top = box[1], right = box[2], bottom = box[3];
    canvas.draw_polyline({{left, top}, {right, top}, {right, bottom}, {left, bottom}, {left, top}},
                         kLine, facts_.colours[k]);
    canvas.draw_text(left + 3, std::max(top + kLetter + 4, kLetter + 4),
                     facts_.class_names[k] + " " + two_decimals(score), kLetter, 0,
                     facts_.colours[k], 1.4);
  }
  return canvas;
}

Json DetectionLearner::to_json(const std::vector<models::DetectedBox>& found) const {
  Json list = Json::array();
  for (const auto& [box, klass, score] : found) {
    Json entry;
    entry["class"] = facts_.class_names[static_cast<std::size_t>(klass)];
    entry["score"] = score;
    entry["box"] = Json::array();
    for (const float edge : box) entry["box"].push_back(static_cast<double>(edge));
    list.push_back(std::move(entry));
  }
  return list;
}

Answers DetectionLearner::predict(const std::vector<std::string>& inputs,
                                  const PredictOptions& options) {
  std::vector<at::Tensor> images;
  for (const auto& input : inputs) {
    images.push_back(data::decode_colour(read_file(input), input));
  }
  const auto paths = picture_paths(inputs, "boxes", options);
  std::vector<std::string> header{"image"};
  header.insert(header.end(), facts_.class_names.begin(), facts_.class_names.end());
  header.emplace_back("picture");
  report::TextTable table(header);
  Answers answers;
  answers.json = Json::array();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto found = find(images[i]);
    write_file(paths[i], drawn(images[i], found).png());
    std::vector<std::string> row{inputs[i]};
    for (std::size_t c = 0; c < facts_.class_names.size(); ++c) {
      row.push_back(std::to_string(std::count_if(found.begin(), found.end(), [&](const auto& box) {
        return box.klass == static_cast<std::int64_t>(c);
      })));
    }
    row.push_back(paths[i].string());
    table.add_row(std::move(row));
    Json entry;
    entry["image"] = inputs[i];
    entry["picture"] = paths[i].string();
    entry["boxes"] = to_json(found);
    answers.json.push_back(std::move(entry));
  }
  answers.text = table.str();
  return answers;
}

}  // namespace halftone::tasks
