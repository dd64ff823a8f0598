#include "halftone/tasks/segmentation_learner.h"

#include <ATen/Functions.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "halftone/base/file.h"
#include "halftone/base/text.h"
#include "halftone/data/codec/image.h"
#include "halftone/metrics/confusion.h"
#include "halftone/report/text_table.h"
#include "halftone/tasks/pictures.h"

namespace halftone::tasks {
namespace {

constexpr double kOverlay = 0.55;      // coverage of the classes' colours
constexpr double kShownShare = 0.001;  // of the pixels, from which a class is named

std::vector<metrics::MetricKind> segmentation_kinds() {
  return {{.name = "mean_iou", .title = "mIoU", .share = true},
          {.name = "pixel_accuracy", .share = true}};
}

// The likeliest class of each pixel at (height, width), by logits of another size. (N, H, W) int64.
at::Tensor likeliest(const at::Tensor& logits, std::int64_t height, std::int64_t width) {
  const at::Tensor maps = logits.to(at::kFloat).contiguous();
  if (maps.size(2) == height && maps.size(3) == width) return maps.argmax(1);
  return at::upsample_bilinear2d(maps, {height, width}, /*align_corners=*/false).argmax(1);
}

// Of images and of their mirror images, averaged: what is seen does not depend on the side.
at::Tensor judged_logits(models::UNet& network, const at::Tensor& input) {
  const at::Tensor mirrored = network.forward(input.flip(3)).flip(3);
  return (network.forward(input).to(at::kFloat) + mirrored.to(at::kFloat)) / 2;
}

class SegmentationMeter : public Meter {
 public:
  SegmentationMeter(models::UNet& network, const std::vector<std::string>& names,
                    const at::Tensor& weights)
      : network_(network),
        names_(names),
        weights_(weights),
        confusion_(static_cast<std::int64_t>(names.size())) {}

  void add(const data::Batch& batch) override {
    const at::Tensor logits = judged_logits(network_, batch.input);
    const at::Tensor& target = batch.target;
    const at::Tensor at_network = nearest(target, logits.size(2), logits.size(3));
    loss_.add(pixel_loss(logits, at_network, weights_).item<double>(), target.size(0));
    const at::Tensor predicted = likeliest(logits, target.size(1), target.size(2)).cpu();
    const at::Tensor true_classes = target.cpu();
    const auto* given = predicted.const_data_ptr<std::int64_t>();
    const auto* expected = true_classes.const_data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < predicted.numel(); ++i) {
      if (expected[i] != confusion_.classes()) confusion_.add(expected[i], given[i]);
    }
  }
  std::int64_t samples() const override { return loss_.samples(); }
  double loss() const override { return loss_.mean(); }
  std::vector<metrics::MetricValue> values() const override {
    const auto kinds = segmentation_kinds();
    return {{kinds[0], confusion_.mean_iou()}, {kinds[1], confusion_.accuracy()}};
  }
  EvaluationDetails details() const override {
    const auto percent = [](double share) {
      return metrics::show({.name = "share", .share = true, .decimals = 1}, share);
    };
    EvaluationDetails details;
    details.table = {{"class", "of all pixels", "IoU", "found", "right when said"}};
    details.json["iou"] = Json::object();
    for (std::int64_t c = 0; c < confusion_.classes(); ++c) {
      const std::string& name = names_[static_cast<std::size_t>(c)];
      const double share = static_cast<double>(confusion_.targets(c)) /
                           static_cast<double>(std::max<std::int64_t>(confusion_.total(), 1));
      details.table.push_back({name, percent(share), percent(confusion_.iou(c)),
                               percent(confusion_.recall(c)), percent(confusion_.precision(c))});
      details.json["iou"][name] = confusion_.iou(c);
    }
    return details;
  }

 private:
  // The mask at another size.
  static at::Tensor nearest(const at::Tensor& mask, std::int64_t height, std::int64_t width) {
    const auto places = [](std::int64_t to, std::int64_t from) {
      return ((at::arange(to, at::kDouble) + 0.5) * from / to).floor().to(at::kLong);
    };
    return mask.index_select(1, places(height, mask.size(1)))
        .index_select(2, places(width, mask.size(2)));
  }

  models::UNet& network_;
  const std::vector<std::string>& names_;
  at::Tensor weights_;
  metrics::RunningLoss loss_;
  metrics::ConfusionMatrix confusion_;
};

}  // namespace

at::Tensor pixel_loss(const at::Tensor& logits, const at::Tensor& target,
                      const at::Tensor& weights) {
  const at::Tensor each = at::cross_entropy_loss(logits, target, {}, at::Reduction::None,
                                                 /*ignore_index=*/weights.size(0));
  const at::Tensor shares =
      at::cat({weights, at::zeros({1})}).index_select(0, target.flatten()).view_as(target);
  return (each * shares).sum() / shares.sum().clamp_min(weights.min());
}

SegmentationLearner::SegmentationLearner(std::shared_ptr<models::UNet> network,
                                         SegmentationFacts facts)
    : network_(std::move(network)),
      facts_(std::move(facts)),
      weights_(at::tensor(facts_.weights, at::kFloat)) {}

at::Tensor SegmentationLearner::loss(const data::Batch& batch) {
  const at::Tensor logits = network_->forward(batch.input);
  RECORD_USER_SCOPE("loss");
  return pixel_loss(logits, batch.target, weights_);
}

std::vector<metrics::MetricKind> SegmentationLearner::metrics() const {
  return segmentation_kinds();
}

std::unique_ptr<Meter> SegmentationLearner::meter() {
  return std::make_unique<SegmentationMeter>(*network_, facts_.class_names, weights_);
}

// image: uint8 (3,H,W) -> (H,W) int64.
at::Tensor SegmentationLearner::classes_of(const at::Tensor& image) {
  const at::Tensor input = data::single_input(facts_.view, image);
  return likeliest(judged_logits(*network_, input), image.size(1), image.size(2)).squeeze(0);
}

report::Canvas SegmentationLearner::overlay(const at::Tensor& image,
                                            const at::Tensor& classes) const {
  report::Canvas canvas = photograph(image);
  const auto* klass = classes.const_data_ptr<std::int64_t>();
  for (int y = 0; y < canvas.height(); ++y) {
    for (int x = 0; x < canvas.width(); ++x) {
      canvas.blend(x, y, kOverlay, facts_.colours[static_cast<std::size_t>(*klass++)]);
    }
  }
  return canvas;
}

Answers SegmentationLearner::predict(const std::vector<std::string>& inputs,
                                     const PredictOptions& options) {
  std::vector<at::Tensor> images;
  for (const auto& input : inputs) {
    images.push_back(data::decode_colour(read_file(input), input));
  }
  const auto paths = picture_paths(inputs, "segments", options);
  Answers answers;
  answers.json = Json::array();
  report::TextTable table({"image", "class", "of all pixels", "picture"});
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const at::Tensor classes = classes_of(images[i]).contiguous();
    write_file(paths[i], overlay(images[i], classes).png());
    const at::Tensor counts =
        at::bincount(classes.flatten(), {}, static_cast<std::int64_t>(facts_.class_names.size()));
    const auto [sorted, order] = counts.sort(0, /*descending=*/true);
    Json entry;
    entry["image"] = inputs[i];
    entry["picture"] = paths[i].string();
    entry["shares"] = Json::object();
    for (std::int64_t k = 0; k < sorted.size(0); ++k) {
      const double share = sorted[k].item<double>() /
                           static_cast<double>(std::max<std::int64_t>(classes.numel(), 1));
      const auto& name =
          facts_.class_names[static_cast<std::size_t>(order[k].item<std::int64_t>())];
      entry["shares"][name] = share;
      if (share < kShownShare) continue;
      table.add_row({k == 0 ? inputs[i] : "", name,
                     metrics::show({.name = "share", .share = true, .decimals = 1}, share),
                     k == 0 ? paths[i].string() : ""});
    }
    answers.json.push_back(std::move(entry));
  }
  answers.text = table.str();
  return answers;
}

}  // namespace halftone::tasks
