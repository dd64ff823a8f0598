#include "halftone/models/fcos_loss.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "halftone/base/error.h"

namespace halftone::models {
namespace {

constexpr double kCentreRadius = 1.5;  // strides
constexpr double kRange = 4;           // strides: of the furthest edge
constexpr double kAlpha = 0.25, kGamma = 2;

// Distances of all locations from the edges of all boxes, (L, M, 4).
at::Tensor distances_of(const at::Tensor& locations, const at::Tensor& boxes) {
  const auto places = at::cat({locations, -locations}, 1).unsqueeze(1);  // x, y, -x, -y
  const auto edges = at::cat({-boxes.narrow(1, 0, 2), boxes.narrow(1, 2, 2)}, 1).unsqueeze(0);
  return places + edges;
}

// (…, 4) -> (…).
at::Tensor centredness_of(const at::Tensor& distances) {
  const auto d = distances.unbind(-1);
  const auto ratio = [](const at::Tensor& a, const at::Tensor& b) {
    return at::minimum(a, b) / at::maximum(a, b).clamp_min(1e-6);
  };
  return (ratio(d[0], d[2]) * ratio(d[1], d[3])).clamp_min(0).sqrt();
}

at::Tensor focal_loss(const at::Tensor& logits, const at::Tensor& one_hot) {
  const auto p = logits.sigmoid();
  const auto cross_entropy =
      at::binary_cross_entropy_with_logits(logits, one_hot, {}, {}, at::Reduction::None);
  const auto wrong = p + one_hot - 2 * p * one_hot;  // 1 - p of what is, p of what is not
  const auto alpha = (1 - kAlpha) + (2 * kAlpha - 1) * one_hot;
  return (alpha * wrong.pow(kGamma) * cross_entropy).sum();
}

// 1 - generalised IoU of boxes around the same locations, by their distances: (K, 4) each -> (K).
at::Tensor giou_loss(const at::Tensor& given, const at::Tensor& expected) {
  const auto area = [](const at::Tensor& d) {
    return (d.select(1, 0) + d.select(1, 2)) * (d.select(1, 1) + d.select(1, 3));
  };
  const auto both = area(at::minimum(given, expected));
  const auto either = (area(given) + area(expected) - both).clamp_min(1e-6);
  const auto hull = area(at::maximum(given, expected)).clamp_min(1e-6);
  return 1 - both / either + (hull - either) / hull;
}

FcosTargets batch_targets(const FcosOutput& output, const at::Tensor& boxes,
                          const at::Tensor& classes, const at::Tensor& offsets) {
  std::vector<at::Tensor> all_classes, distances, centredness;
  for (std::int64_t n = 0; n + 1 < offsets.size(0); ++n) {
    const auto first = offsets[n].item<std::int64_t>();
    const auto count = offsets[n + 1].item<std::int64_t>() - first;
    const FcosTargets one =
        fcos_targets(output.locations, output.strides, boxes.narrow(0, first, count),
                     classes.narrow(0, first, count), output.logits.size(2));
    all_classes.push_back(one.classes);
    distances.push_back(one.distances);
    centredness.push_back(one.centredness);
  }
  return {at::cat(all_classes), at::cat(distances), at::cat(centredness)};
}

bool overlaps_kept(const DetectedBox& box, const std::vector<DetectedBox>& kept, double most) {
  return std::any_of(kept.begin(), kept.end(), [&](const DetectedBox& other) {
    return other.klass == box.klass && box_iou(other.box, box.box) > most;
  });
}

}  // namespace

FcosTargets fcos_targets(const at::Tensor& locations, const at::Tensor& strides,
                         const at::Tensor& boxes, const at::Tensor& classes,
                         std::int64_t class_count) {
  const std::int64_t count = locations.size(0);
  if (boxes.size(0) == 0) {
    return {at::full({count}, class_count, at::kLong), at::zeros({count, 4}), at::zeros({count})};
  }
  const auto distances = distances_of(locations, boxes);
  const auto middle = (boxes.narrow(1, 0, 2) + boxes.narrow(1, 2, 2)) / 2;
  const auto from_middle = std::get<0>((locations.unsqueeze(1) - middle.unsqueeze(0)).abs().max(2));
  const auto furthest = std::get<0>(distances.max(2));
  const auto reach = (strides * kRange).unsqueeze(1);
  const auto finest = strides.min(), coarsest = strides.max();
  const auto strides_of = strides.unsqueeze(1);
  const auto least = at::where(strides_of == finest, at::zeros({1}), reach / 2);
  const auto most = at::where(strides_of == coarsest, at::full({1}, INFINITY), reach);
  const auto fits = (std::get<0>(distances.min(2)) > 0)
                        .logical_and(from_middle < kCentreRadius * strides_of)
                        .logical_and(furthest > least)
                        .logical_and(furthest <= most);
  const auto edges = boxes.unbind(1);
  const auto areas = ((edges[2] - edges[0]) * (edges[3] - edges[1])).unsqueeze(0);
  const auto [area, which] =
      at::where(fits, areas, at::full({1}, INFINITY)).min(1);  // the smallest box
  const auto found = area.isfinite();
  const auto chosen = distances.gather(1, which.view({-1, 1, 1}).expand({-1, 1, 4})).squeeze(1);
  const auto kept = at::where(found.unsqueeze(1), chosen, at::zeros({1}));
  return {at::where(found, classes.index_select(0, which), class_count), kept,
          at::where(found, centredness_of(kept), at::zeros({1}))};
}

at::Tensor fcos_loss(const FcosOutput& output, const at::Tensor& boxes, const at::Tensor& classes,
                     const at::Tensor& offsets) {
  const std::int64_t class_count = output.logits.size(2);
  const FcosTargets targets = batch_targets(output, boxes, classes, offsets);
  const auto logits = output.logits.reshape({-1, class_count});
  const auto one_hot =
      targets.classes.unsqueeze(1).eq(at::arange(class_count)).to(logits.scalar_type());
  const auto found = targets.classes.ne(class_count).nonzero().squeeze(1);
  const double count = static_cast<double>(std::max<std::int64_t>(found.size(0), 1));
  auto loss = focal_loss(logits, one_hot) / count;
  if (found.size(0) == 0) {
    // The other heads' gradients are zeros, not missing.
    return loss + 0 * (output.distances.sum() + output.centredness.sum());
  }
  const auto weight = targets.centredness.index_select(0, found).to(logits.scalar_type());
  const auto giou = giou_loss(output.distances.reshape({-1, 4}).index_select(0, found),
                              targets.distances.index_select(0, found).to(logits.scalar_type()));
  loss = loss + (giou * weight).sum() / weight.sum().clamp_min(1e-6);
  return loss + at::binary_cross_entropy_with_logits(
                    output.centredness.reshape({-1}).index_select(0, found), weight);
}

std::vector<DetectedBox> fcos_detections(const FcosOutput& output, std::int64_t n,
                                         std::int64_t height, std::int64_t width,
                                         const DetectionOptions& options) {
  const auto scores = (output.logits[n].sigmoid() * output.centredness[n].sigmoid().unsqueeze(1))
                          .sqrt()
                          .to(at::kDouble)
                          .nan_to_num(0)
                          .flatten();
  const auto [best, places] = scores.topk(std::min(options.candidates, scores.size(0)));
  const auto sign = at::tensor({-1.f, -1.f, 1.f, 1.f});
  const at::Tensor boxes =
      output.locations.repeat({1, 2}) + output.distances[n].to(at::kFloat) * sign;
  const auto right = static_cast<float>(width), bottom = static_cast<float>(height);
  std::vector<DetectedBox> kept;
  for (std::int64_t i = 0; i < best.size(0); ++i) {
    const double score = best[i].item<double>();
    if (score < options.least_score ||
        static_cast<std::int64_t>(kept.size()) >= options.detections) {
      break;
    }
    const auto place = places[i].item<std::int64_t>();
    const at::Tensor edges = boxes[place / output.logits.size(2)].contiguous();
    const float* edge = edges.const_data_ptr<float>();
    const DetectedBox box{{std::clamp(edge[0], 0.f, right), std::clamp(edge[1], 0.f, bottom),
                           std::clamp(edge[2], 0.f, right), std::clamp(edge[3], 0.f, bottom)},
                          place % output.logits.size(2),
                          score};
    if (!overlaps_kept(box, kept, options.most_iou)) kept.push_back(box);
  }
  return kept;
}

}  // namespace halftone::models
