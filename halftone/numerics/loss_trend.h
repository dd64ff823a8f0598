// Whether the loss was growing before something went wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

namespace halftone::numerics {

// The last losses of a training. Not thread-safe.
class LossTrend {
 public:
  // A finite loss of one step.
  void add(double loss) {
    if (losses_.size() == kKept) losses_.pop_front();
    losses_.push_back(loss);
  }
  void clear() { losses_.clear(); }

  // From the least of the last losses to the last one.
  struct Growth {
    std::int64_t steps = 0;  // between them
    double from = 0, to = 0;
    // It has at least doubled, over more than one step: more than a batch's luck.
    bool diverged() const { return steps > 1 && to >= 2 * from && to > 0; }
  };
  Growth growth() const {
    if (losses_.empty()) return {};
    std::size_t least = losses_.size() - 1;
    for (std::size_t i = least; i-- > 0;) {
      if (losses_[i] < losses_[least]) least = i;
    }
    return {static_cast<std::int64_t>(losses_.size() - 1 - least), losses_[least], losses_.back()};
  }

 private:
  static constexpr std::size_t kKept = 64;
  std::deque<double> losses_;
};

}  // namespace halftone::numerics
