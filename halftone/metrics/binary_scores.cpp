#include "halftone/metrics/binary_scores.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "halftone/base/error.h"

namespace halftone::metrics {

void BinaryScores::add(double score, bool positive) {
  if (std::isnan(score)) throw Error("a score that is NaN", "a number", "binary scores");
  scores_.emplace_back(score, positive);
}

BinaryScores::Counts BinaryScores::counts(double threshold) const {
  Counts counts;
  for (const auto& [score, positive] : scores_) {
    const bool called = score > threshold;
    counts.found += called && positive;
    counts.called += called;
    counts.positive += positive;
  }
  return counts;
}

double BinaryScores::precision(double threshold) const {
  const Counts c = counts(threshold);
  return c.called > 0 ? c.found / c.called : 0;
}

double BinaryScores::recall(double threshold) const {
  const Counts c = counts(threshold);
  return c.positive > 0 ? c.found / c.positive : 0;
}

double BinaryScores::f1(double threshold) const {
  const Counts c = counts(threshold);
  return c.called + c.positive > 0 ? 2 * c.found / (c.called + c.positive) : 0;
}

std::vector<std::pair<double, bool>> BinaryScores::ranked() const {
  auto sorted = scores_;
  std::sort(sorted.begin(), sorted.end(),
            [](const auto& a, const auto& b) { return a.first > b.first; });
  return sorted;
}

double BinaryScores::roc_auc() const {
  const auto sorted = ranked();
  double positives = 0, negatives = 0, area = 0;
  for (std::size_t i = 0; i < sorted.size();) {
    double tied_positives = 0, tied_negatives = 0;
    const double score = sorted[i].first;
    for (; i < sorted.size() && sorted[i].first == score; ++i) {
      (sorted[i].second ? tied_positives : tied_negatives) += 1;
    }
    area += tied_negatives * (positives + tied_positives / 2);
    positives += tied_positives;
    negatives += tied_negatives;
  }
  if (positives == 0 || negatives == 0) return std::numeric_limits<double>::quiet_NaN();
  return area / (positives * negatives);
}

double BinaryScores::average_precision() const {
  const auto sorted = ranked();
  double positives = 0, area = 0;
  for (std::size_t i = 0; i < sorted.size();) {
    const double score = sorted[i].first, before = positives;
    for (; i < sorted.size() && sorted[i].first == score; ++i) positives += sorted[i].second;
    area += (positives - before) * positives / static_cast<double>(i);
  }
  if (positives == 0) return std::numeric_limits<double>::quiet_NaN();
  return area / positives;
}

}  // namespace halftone::metrics
