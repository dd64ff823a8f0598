// What the benchmarks share: the triad that a memory-bound pass is measured against, and
// statistics.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "halftone/base/parallel.h"

namespace halftone {

// Three arrays of fp32 that together take `bytes`; STREAM counts each once.
class Triad {
 public:
  explicit Triad(std::int64_t bytes)
      : a_(at::zeros({bytes / 12})), b_(at::rand({bytes / 12})), c_(at::rand({bytes / 12})) {}

  void run() {
    using Vector [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;
    float* a = a_.mutable_data_ptr<float>();
    const float* b = b_.const_data_ptr<float>();
    const float* c = c_.const_data_ptr<float>();
    parallel_for(0, a_.numel() / 8, 4096, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = 8 * begin; i < 8 * end; i += 8) {
        *reinterpret_cast<Vector*>(a + i) = *reinterpret_cast<const Vector*>(b + i) +
                                            3.0f * *reinterpret_cast<const Vector*>(c + i);
      }
    });
  }
  double bytes() const { return 12.0 * static_cast<double>(a_.numel()); }

 private:
  at::Tensor a_, b_, c_;
};

// Of the second of two runs: the first leaves in the cache what the pass's own footprint leaves.
inline double gigabytes_per_second(double bytes, const std::function<void()>& pass) {
  pass();
  const auto start = std::chrono::steady_clock::now();
  pass();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return bytes / seconds.count() / 1e9;
}

// The arms' figures, measured in another order in each round: what runs behind the triad finds
// other caches than what runs behind its like.
inline std::vector<double> in_turns(int round, const std::vector<std::function<double()>>& arms) {
  std::vector<double> figures(arms.size());
  for (std::size_t i = 0; i < arms.size(); ++i) {
    const std::size_t arm = (i + static_cast<std::size_t>(round)) % arms.size();
    figures[arm] = arms[arm]();
  }
  return figures;
}

struct Spread {
  double low, median, high;
};

inline Spread spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values[values.size() / 4], values[values.size() / 2], values[3 * values.size() / 4]};
}

}  // namespace halftone
