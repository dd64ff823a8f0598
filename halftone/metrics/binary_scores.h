// What a score that ranks two classes is worth: precision, recall, F1, the areas under the curves.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::metrics {

// Keeps every score (16 bytes each), since the areas need their order. Definitions as
// scikit-learn's precision_score, recall_score, f1_score, roc_auc_score and
// average_precision_score. Torch-free; not thread-safe.
class HALFTONE_API BinaryScores {
 public:
  // score: higher means positive. Throws Error for one that is NaN.
  void add(double score, bool positive);

  std::int64_t count() const { return static_cast<std::int64_t>(scores_.size()); }

  // Where what is above `threshold` is called positive; 0 where nothing is.
  double precision(double threshold) const;
  double recall(double threshold) const;
  double f1(double threshold) const;

  // The chance that a positive one ranks above a negative one, a tie counting half (Fawcett 2006,
  // 7). NaN where there is only one class.
  double roc_auc() const;
  // The sum over recalls of precision times the recall gained (no interpolation; ties are one
  // step). NaN where there is no positive one.
  double average_precision() const;

 private:
  struct Counts {
    double found = 0, called = 0, positive = 0;
  };
  Counts counts(double threshold) const;
  std::vector<std::pair<double, bool>> ranked() const;  // the highest score first

  std::vector<std::pair<double, bool>> scores_;
};

}  // namespace halftone::metrics
