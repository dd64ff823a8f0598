// Top-k accuracy.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::metrics {

// How many of the targets are among the k largest logits of their row. logits: (N, C) floating
// point, target: (N) int64 in [0, C). Equal logits rank by class index, and a NaN ranks above
// everything, so that neither a constant nor a broken network seems right. k above C counts as C.
// Throws Error for other shapes and for a target out of range.
HALFTONE_API std::int64_t top_k_correct(const at::Tensor& logits, const at::Tensor& target,
                                        std::int64_t k);

// Accuracies for several k over many batches. Not thread-safe.
class HALFTONE_API TopKAccuracy {
 public:
  explicit TopKAccuracy(std::vector<std::int64_t> ks = {1});

  void add(const at::Tensor& logits, const at::Tensor& target);

  // In [0, 1]; 0 where nothing was added. Throws Error for a k that was not asked for.
  double accuracy(std::int64_t k = 1) const;
  std::int64_t samples() const { return samples_; }
  void reset();

 private:
  std::vector<std::int64_t> ks_, correct_;
  std::int64_t samples_ = 0;
};

}  // namespace halftone::metrics
