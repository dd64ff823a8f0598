#include "halftone/metrics/ranking.h"

#include <cmath>

namespace halftone::metrics {

void RankingMetrics::add(std::int64_t place) {
  ++count_;
  if (place >= cutoff_) return;
  ++hits_;
  gain_ += 1 / std::log2(static_cast<double>(place) + 2);
}

double RankingMetrics::hit_ratio() const {
  return count_ ? static_cast<double>(hits_) / static_cast<double>(count_) : 0;
}

double RankingMetrics::ndcg() const { return count_ ? gain_ / static_cast<double>(count_) : 0; }

}  // namespace halftone::metrics
