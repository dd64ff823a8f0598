// Percentiles of step times.
#pragma once

#include <cstddef>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::metrics {

// Keeps every value (8 bytes each), so that the percentiles are exact. Torch-free; not thread-safe.
class HALFTONE_API Latency {
 public:
  void add(double milliseconds) { values_.push_back(milliseconds); }

  // percent in [0, 100]; interpolated linearly between neighbours as numpy.percentile does
  // (Hyndman and Fan 1996, type 7). 0 where nothing was added; throws Error for another percent.
  double percentile(double percent) const;

  double median() const { return percentile(50); }
  double iqr() const { return percentile(75) - percentile(25); }
  double p95() const { return percentile(95); }

  std::size_t count() const { return values_.size(); }
  const std::vector<double>& values() const { return values_; }  // in the order added
  void reset() { values_.clear(); }

 private:
  std::vector<double> values_;
};

}  // namespace halftone::metrics
