// How high a ranking puts the one right item: hit ratio and discounted gain.
#pragma once

#include <cstdint>

#include "halftone/base/export.h"

namespace halftone::metrics {

// Means over rankings with one right item each (He et al. 2017, 4.1). Torch-free; not thread-safe.
class HALFTONE_API RankingMetrics {
 public:
  // cutoff: places that count, 1 or more.
  explicit RankingMetrics(std::int64_t cutoff) : cutoff_(cutoff) {}

  // place: of the right item, counted from 0; equal scores and NaN of others rank before it.
  void add(std::int64_t place);

  std::int64_t count() const { return count_; }
  double hit_ratio() const;  // the share with place < cutoff; 0 where nothing was added
  double ndcg() const;       // the mean of 1 / log2(place + 2) where place < cutoff, else 0

 private:
  std::int64_t cutoff_, count_ = 0, hits_ = 0;
  double gain_ = 0;
};

}  // namespace halftone::metrics
