// Frechet distance of two sets of feature vectors, each taken as a normal distribution.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "halftone/base/export.h"

namespace halftone::metrics {

// Mean and covariance of feature vectors in fp64. Not thread-safe.
class HALFTONE_API FeatureStatistics {
 public:
  // features: (N, D), any floating-point format. Throws Error for another shape or D.
  void add(const at::Tensor& features);

  std::int64_t count() const { return count_; }
  at::Tensor mean() const;        // (D) fp64; throws Error before the first vector
  at::Tensor covariance() const;  // (D, D) fp64, over N - 1; throws Error below two vectors

 private:
  std::int64_t count_ = 0;
  at::Tensor mean_, scatter_;  // scatter: sum of (x - mean)(x - mean)^T
};

// |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), 0 or more (Heusel et al. 2017, equation 6). The
// root's trace is that of (C1^(1/2) C2 C1^(1/2))^(1/2), through symmetric eigendecompositions in
// fp64; eigenvalues below 0, which rounding gives, count as 0. Throws Error for shapes that do not
// fit and for values that are not finite.
HALFTONE_API double frechet_distance(const at::Tensor& mean1, const at::Tensor& covariance1,
                                     const at::Tensor& mean2, const at::Tensor& covariance2);

}  // namespace halftone::metrics
