#include "halftone/metrics/confusion.h"

#include <algorithm>
#include <string>

#include "halftone/base/error.h"

namespace halftone::metrics {
namespace {

double ratio(std::int64_t part, std::int64_t whole) {
  return whole ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

}  // namespace

ConfusionMatrix::ConfusionMatrix(std::int64_t classes) : classes_(classes) {
  if (classes < 1) throw Error(std::to_string(classes), "at least 1 class", "confusion matrix");
  counts_.assign(static_cast<std::size_t>(classes * classes), 0);
}

void ConfusionMatrix::add(std::int64_t target, std::int64_t predicted) {
  for (const auto klass : {target, predicted}) {
    if (klass < 0 || klass >= classes_) {
      throw Error("class " + std::to_string(klass), "0 to " + std::to_string(classes_ - 1),
                  "confusion matrix");
    }
  }
  ++counts_[static_cast<std::size_t>(target * classes_ + predicted)];
  ++total_;
}

void ConfusionMatrix::add(const std::int64_t* targets, const std::int64_t* predicted,
                          std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) add(targets[i], predicted[i]);
}

std::int64_t ConfusionMatrix::count(std::int64_t target, std::int64_t predicted) const {
  return counts_.at(static_cast<std::size_t>(target * classes_ + predicted));
}

double ConfusionMatrix::accuracy() const {
  std::int64_t right = 0;
  for (std::int64_t c = 0; c < classes_; ++c) right += count(c, c);
  return ratio(right, total_);
}

std::int64_t ConfusionMatrix::targets(std::int64_t klass) const {
  std::int64_t all = 0;
  for (std::int64_t p = 0; p < classes_; ++p) all += count(klass, p);
  return all;
}

std::int64_t ConfusionMatrix::predictions(std::int64_t klass) const {
  std::int64_t all = 0;
  for (std::int64_t t = 0; t < classes_; ++t) all += count(t, klass);
  return all;
}

double ConfusionMatrix::recall(std::int64_t klass) const {
  return ratio(count(klass, klass), targets(klass));
}

double ConfusionMatrix::precision(std::int64_t klass) const {
  return ratio(count(klass, klass), predictions(klass));
}

double ConfusionMatrix::iou(std::int64_t klass) const {
  const std::int64_t both = count(klass, klass);
  return ratio(both, targets(klass) + predictions(klass) - both);
}

double ConfusionMatrix::mean_iou() const {
  double sum = 0;
  std::int64_t occurring = 0;
  for (std::int64_t c = 0; c < classes_; ++c) {
    if (targets(c) + predictions(c) == 0) continue;
    sum += iou(c);
    ++occurring;
  }
  return occurring ? sum / static_cast<double>(occurring) : 0;
}

void ConfusionMatrix::reset() {
  std::fill(counts_.begin(), counts_.end(), 0);
  total_ = 0;
}

}  // namespace halftone::metrics
