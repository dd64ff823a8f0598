#include "halftone/metrics/top_k.h"

#include <torch/utils.h>

#include <algorithm>
#include <sstream>
#include <string>

#include "halftone/base/error.h"

namespace halftone::metrics {
namespace {

void check(const at::Tensor& logits, const at::Tensor& target) {
  if (logits.dim() == 2 && target.dim() == 1 && logits.size(0) == target.size(0) &&
      target.scalar_type() == at::kLong) {
    if (target.numel() == 0) return;
    const auto least = target.min().item<std::int64_t>(), most = target.max().item<std::int64_t>();
    if (least >= 0 && most < logits.size(1)) return;
    throw Error("target " + std::to_string(least < 0 ? least : most),
                "0 to " + std::to_string(logits.size(1) - 1), "accuracy");
  }
  std::ostringstream given;
  given << "logits " << logits.sizes() << ", target " << target.sizes() << " of "
        << target.scalar_type();
  throw Error(given.str(), "(N, C) and (N) of Long", "accuracy");
}

// Of each target: how many classes rank before it, (N).
at::Tensor ranks(const at::Tensor& logits, const at::Tensor& target) {
  const auto index = target.unsqueeze(1);
  const auto own = logits.gather(1, index);
  const auto classes = at::arange(logits.size(1), target.options());
  const auto before = logits.le(own).logical_not_();  // greater, or either is NaN
  const auto tied = logits.eq(own).logical_and_(classes.lt(index));
  return before.logical_or_(tied).sum(1);
}

std::int64_t count_below(const at::Tensor& ranks, std::int64_t k) {
  return ranks.lt(k).sum().item<std::int64_t>();
}

}  // namespace

std::int64_t top_k_correct(const at::Tensor& logits, const at::Tensor& target, std::int64_t k) {
  torch::NoGradGuard no_grad;
  check(logits, target);
  return count_below(ranks(logits, target), k);
}

TopKAccuracy::TopKAccuracy(std::vector<std::int64_t> ks)
    : ks_(std::move(ks)), correct_(ks_.size(), 0) {
  for (const auto k : ks_) {
    if (k < 1) throw Error("k = " + std::to_string(k), "at least 1", "accuracy");
  }
}

void TopKAccuracy::add(const at::Tensor& logits, const at::Tensor& target) {
  torch::NoGradGuard no_grad;
  check(logits, target);
  const auto rank = ranks(logits, target);
  for (std::size_t i = 0; i < ks_.size(); ++i) correct_[i] += count_below(rank, ks_[i]);
  samples_ += target.size(0);
}

double TopKAccuracy::accuracy(std::int64_t k) const {
  const auto found = std::find(ks_.begin(), ks_.end(), k);
  if (found == ks_.end())
    throw Error("k = " + std::to_string(k), "a k that is counted", "accuracy");
  if (samples_ == 0) return 0;
  return static_cast<double>(correct_[found - ks_.begin()]) / static_cast<double>(samples_);
}

void TopKAccuracy::reset() {
  std::fill(correct_.begin(), correct_.end(), 0);
  samples_ = 0;
}

}  // namespace halftone::metrics
