// The mean of a loss over samples.
#pragma once

#include <cstdint>

namespace halftone::metrics {

// Sums in fp64, weighted by samples, so that a smaller last batch counts for what it is.
// Torch-free; not thread-safe.
class RunningLoss {
 public:
  // batch_mean: the loss averaged over `samples` samples.
  void add(double batch_mean, std::int64_t samples) {
    sum_ += batch_mean * static_cast<double>(samples);
    samples_ += samples;
  }

  double mean() const { return samples_ ? sum_ / static_cast<double>(samples_) : 0; }
  std::int64_t samples() const { return samples_; }
  void reset() { *this = RunningLoss(); }

 private:
  double sum_ = 0;
  std::int64_t samples_ = 0;
};

}  // namespace halftone::metrics
