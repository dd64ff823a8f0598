#include "halftone/metrics/frechet.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <sstream>

#include "halftone/base/error.h"

namespace halftone::metrics {
namespace {

std::string shape_of(const at::Tensor& tensor) {
  std::ostringstream text;
  text << tensor.sizes();
  return text.str();
}

void check_normal(const at::Tensor& mean, const at::Tensor& covariance, int64_t size) {
  if (mean.dim() != 1 || mean.size(0) != size ||
      covariance.sizes() != at::IntArrayRef({size, size})) {
    throw Error("mean " + shape_of(mean) + ", covariance " + shape_of(covariance),
                "(D) and (D, D), D = " + std::to_string(size), "Frechet distance");
  }
  if (!mean.isfinite().all().item<bool>() || !covariance.isfinite().all().item<bool>()) {
    throw Error("features that are not finite", "finite ones", "Frechet distance");
  }
}

// Of a symmetric matrix without negative eigenvalues.
at::Tensor symmetric_root(const at::Tensor& matrix) {
  const auto [values, vectors] = at::linalg_eigh(matrix);
  return (vectors * values.clamp_min(0).sqrt()).matmul(vectors.t());
}

}  // namespace

// Chan, Golub, LeVeque 1979: means and scatters of two parts are joined without cancellation.
void FeatureStatistics::add(const at::Tensor& features) {
  if (features.dim() != 2 || !features.is_floating_point() ||
      (count_ > 0 && features.size(1) != mean_.size(0))) {
    throw Error("features " + shape_of(features),
                count_ ? "(N, " + std::to_string(mean_.size(0)) + ")" : "(N, D)",
                "feature statistics");
  }
  if (features.size(0) == 0) return;
  const at::Tensor x = features.detach().to(at::kCPU, at::kDouble);
  const at::Tensor mean = x.mean(0), centred = x - mean;
  const at::Tensor scatter = centred.t().matmul(centred);
  const auto before = static_cast<double>(count_), added = static_cast<double>(x.size(0));
  count_ += x.size(0);
  if (before == 0) {
    mean_ = mean;
    scatter_ = scatter;
    return;
  }
  const at::Tensor moved = mean - mean_;
  scatter_ += scatter + at::outer(moved, moved) * (before * added / (before + added));
  mean_ += moved * (added / (before + added));
}

at::Tensor FeatureStatistics::mean() const {
  if (count_ < 1) throw Error("no features", "one vector or more", "feature statistics");
  return mean_.clone();
}

at::Tensor FeatureStatistics::covariance() const {
  if (count_ < 2) {
    throw Error(std::to_string(count_) + " feature vectors", "two or more", "feature statistics");
  }
  return scatter_ / static_cast<double>(count_ - 1);
}

double frechet_distance(const at::Tensor& mean1, const at::Tensor& covariance1,
                        const at::Tensor& mean2, const at::Tensor& covariance2) {
  const int64_t size = mean1.numel();
  check_normal(mean1, covariance1, size);
  check_normal(mean2, covariance2, size);
  const at::Tensor c1 = covariance1.to(at::kDouble), c2 = covariance2.to(at::kDouble);
  const at::Tensor root = symmetric_root(c1);
  const at::Tensor product = root.matmul(c2).matmul(root);
  const double root_trace =
      at::linalg_eigvalsh((product + product.t()) / 2).clamp_min(0).sqrt().sum().item<double>();
  const double means = (mean1 - mean2).to(at::kDouble).square().sum().item<double>();
  const double traces = c1.trace().item<double>() + c2.trace().item<double>();
  return std::max(0.0, means + traces - 2 * root_trace);
}

}  // namespace halftone::metrics
