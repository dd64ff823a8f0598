#include "halftone/metrics/box_scores.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "halftone/base/error.h"

namespace halftone::metrics {
namespace {

constexpr std::size_t kMostDetections = 100;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double rank_of(double score) { return std::isnan(score) ? -INFINITY : score; }

bool scores_higher(const ScoredBox& a, const ScoredBox& b) {
  return rank_of(a.score) > rank_of(b.score);
}

enum class Found { nothing, truth, difficult };

// pycocotools: the free truth of the highest IoU, the last one of equal ones, from `least` on; a
// difficult one only where there is no other.
Found claim_best_free(const ScoredBox& detection, const std::vector<ScoredBox>& truths,
                      double least, std::vector<bool>& taken) {
  for (const bool difficult : {false, true}) {
    double best = std::min(least, 1 - 1e-10);
    std::size_t found = truths.size();
    for (std::size_t i = 0; i < truths.size(); ++i) {
      if (taken[i] || truths[i].difficult != difficult) continue;
      const double iou = box_iou(detection.box, truths[i].box);
      if (iou < best) continue;
      best = iou;
      found = i;
    }
    if (found == truths.size()) continue;
    taken[found] = true;
    return difficult ? Found::difficult : Found::truth;
  }
  return Found::nothing;
}

// VOC: the truth of the highest IoU, which may be found once, or, where it is difficult, any number
// of times.
Found claim_best(const ScoredBox& detection, const std::vector<ScoredBox>& truths, double least,
                 std::vector<bool>& taken) {
  double best = -INFINITY;
  std::size_t found = 0;
  for (std::size_t i = 0; i < truths.size(); ++i) {
    const double iou = box_iou(detection.box, truths[i].box);
    if (iou > best) {
      best = iou;
      found = i;
    }
  }
  if (best < least) return Found::nothing;
  if (truths[found].difficult) return Found::difficult;
  if (taken[found]) return Found::nothing;
  taken[found] = true;
  return Found::truth;
}

struct Curve {
  std::vector<double> recall, precision;  // rising; the highest from here on
};

template <class Verdicts>
Curve curve_of(const Verdicts& verdicts, std::int64_t truths) {
  Curve curve;
  double right = 0;
  for (std::size_t i = 0; i < verdicts.size(); ++i) {
    right += verdicts[i].right;
    curve.recall.push_back(right / static_cast<double>(truths));
    curve.precision.push_back(right / static_cast<double>(i + 1));
  }
  for (std::size_t i = curve.precision.size(); i-- > 1;) {
    curve.precision[i - 1] = std::max(curve.precision[i - 1], curve.precision[i]);
  }
  return curve;
}

// recalls: rising.
double mean_precision(const Curve& curve, const std::vector<double>& recalls) {
  double sum = 0;
  for (const double recall : recalls) {
    const auto at = std::lower_bound(curve.recall.begin(), curve.recall.end(), recall);
    if (at == curve.recall.end()) break;
    sum += curve.precision[static_cast<std::size_t>(at - curve.recall.begin())];
  }
  return sum / static_cast<double>(recalls.size());
}

// As NumPy's linspace rounds them, which decides where a recall or an IoU equals one of them.
std::vector<double> linspace(double least, double most, int count) {
  const double step = (most - least) / (count - 1);
  std::vector<double> values;
  for (int k = 0; k + 1 < count; ++k) values.push_back(least + k * step);
  values.push_back(most);
  return values;
}

// The mean of those that are none, NaN where all are.
double mean_of(const std::vector<double>& values) {
  double sum = 0;
  std::int64_t count = 0;
  for (const double value : values) {
    if (std::isnan(value)) continue;
    sum += value;
    ++count;
  }
  return count ? sum / static_cast<double>(count) : kNan;
}

}  // namespace

BoxScores::BoxScores(std::int64_t classes) {
  if (classes < 1) throw Error(std::to_string(classes), "at least 1 class", "box scores");
  truths_.assign(index(classes), 0);
  images_.resize(index(classes));
}

void BoxScores::add(const std::vector<ScoredBox>& truths,
                    const std::vector<ScoredBox>& detections) {
  std::vector<Image> parts(images_.size());
  for (const bool there : {true, false}) {
    for (const ScoredBox& box : there ? truths : detections) {
      if (box.klass < 0 || box.klass >= classes()) {
        throw Error("class " + std::to_string(box.klass), "0 to " + std::to_string(classes() - 1),
                    "box scores");
      }
      Image& part = parts[index(box.klass)];
      (there ? part.truths : part.detections).push_back(box);
    }
  }
  for (std::size_t c = 0; c < parts.size(); ++c) {
    Image& part = parts[c];
    truths_[c] += std::count_if(part.truths.begin(), part.truths.end(),
                                [](const ScoredBox& truth) { return !truth.difficult; });
    std::stable_sort(part.detections.begin(), part.detections.end(), scores_higher);
    images_[c].push_back(std::move(part));
  }
}

std::vector<BoxScores::Verdict> BoxScores::judged(std::int64_t klass, double iou, bool voc) const {
  std::vector<Verdict> verdicts;
  for (const Image& image : images_.at(index(klass))) {
    std::vector<bool> taken(image.truths.size());
    const std::size_t most = voc ? image.detections.size() : kMostDetections;
    for (std::size_t i = 0; i < std::min(most, image.detections.size()); ++i) {
      const ScoredBox& detection = image.detections[i];
      const Found found = voc ? claim_best(detection, image.truths, iou, taken)
                              : claim_best_free(detection, image.truths, iou, taken);
      if (found == Found::difficult) continue;
      verdicts.push_back({rank_of(detection.score), found == Found::truth});
    }
  }
  std::stable_sort(verdicts.begin(), verdicts.end(),
                   [](const Verdict& a, const Verdict& b) { return a.score > b.score; });
  return verdicts;
}

double BoxScores::average_precision(std::int64_t klass, double iou) const {
  static const std::vector<double> recalls = linspace(0, 1, 101);
  if (truths(klass) == 0) return kNan;
  return mean_precision(curve_of(judged(klass, iou, false), truths(klass)), recalls);
}

double BoxScores::mean_average_precision(double iou) const {
  std::vector<double> values;
  for (std::int64_t c = 0; c < classes(); ++c) values.push_back(average_precision(c, iou));
  return mean_of(values);
}

double BoxScores::coco_average_precision() const {
  std::vector<double> values;
  for (const double iou : linspace(0.5, 0.95, 10)) values.push_back(mean_average_precision(iou));
  return mean_of(values);
}

double BoxScores::voc_11_point() const {
  std::vector<double> recalls, values;
  for (int k = 0; k <= 10; ++k) recalls.push_back(k / 10.0);

  for (std::int64_t c = 0; c < classes(); ++c) {
    values.push_back(
        truths(c) == 0 ? kNan : mean_precision(curve_of(judged(c, 0.5, true), truths(c)), recalls));
  }
  return mean_of(values);
}

}  // namespace halftone::metrics
