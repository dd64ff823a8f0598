// Samples per second.
#pragma once

#include <cstdint>

namespace halftone::metrics {

// The caller measures (std::chrono::steady_clock) and leaves out what is not training. Torch-free;
// not thread-safe.
class Throughput {
 public:
  void add(std::int64_t samples, double seconds) {
    samples_ += samples;
    seconds_ += seconds;
  }

  // 0 where no time has passed.
  double samples_per_s() const {
    return seconds_ > 0 ? static_cast<double>(samples_) / seconds_ : 0;
  }
  std::int64_t samples() const { return samples_; }
  double seconds() const { return seconds_; }
  void reset() { *this = Throughput(); }

 private:
  std::int64_t samples_ = 0;
  double seconds_ = 0;
};

}  // namespace halftone::metrics
