// The confusion matrix of a classifier.
#pragma once

#include <cstdint>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::metrics {

// Counts (true class, predicted class) pairs. Torch-free; not thread-safe.
class HALFTONE_API ConfusionMatrix {
 public:
  explicit ConfusionMatrix(std::int64_t classes);

  // Throws Error for a class out of range.
  void add(std::int64_t target, std::int64_t predicted);
  // `count` pairs, for example target.data_ptr<int64_t>() and logits.argmax(1)'s.
  void add(const std::int64_t* targets, const std::int64_t* predicted, std::int64_t count);

  std::int64_t classes() const { return classes_; }
  std::int64_t count(std::int64_t target, std::int64_t predicted) const;
  std::int64_t targets(std::int64_t klass) const;      // how many are it
  std::int64_t predictions(std::int64_t klass) const;  // how many were called it
  std::int64_t total() const { return total_; }

  double accuracy() const;                  // diagonal / total; 0 where nothing was added
  double recall(std::int64_t klass) const;  // of those that are it: found; 0 where there are none
  double precision(std::int64_t klass) const;  // of those called it: right; 0 where there are none
  // What is it and called it, of what is it or called it (Jaccard); 0 where neither occurs.
  double iou(std::int64_t klass) const;
  double mean_iou() const;  // over the classes that occur, as target or as prediction
  void reset();

 private:
  std::int64_t classes_, total_ = 0;
  std::vector<std::int64_t> counts_;  // (target, predicted), row-major
};

}  // namespace halftone::metrics
