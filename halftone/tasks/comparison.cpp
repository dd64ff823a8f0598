#include "halftone/tasks/comparison.h"

#include <algorithm>

namespace halftone::tasks {

double ArmResult::final_metric() const {
  return evaluations.empty() ? 0 : evaluations.back().metric(metric.name);
}

double ArmResult::best_metric() const {
  double best = evaluations.empty() ? 0 : evaluations.front().metric(metric.name);
  for (const auto& evaluation : evaluations) {
    const double value = evaluation.metric(metric.name);
    if (metrics::better(metric, value, best)) best = value;
  }
  return best;
}

double ArmResult::mean_metric(std::size_t last) const {
  const std::size_t count = std::min(last, evaluations.size());
  double sum = 0;
  for (std::size_t i = evaluations.size() - count; i < evaluations.size(); ++i) {
    sum += evaluations[i].metric(metric.name);
  }
  return count ? sum / static_cast<double>(count) : 0;
}

double Comparison::speedup() const {
  return mixed.step_ms.median() > 0 ? fp32.step_ms.median() / mixed.step_ms.median() : 0;
}

double Comparison::memory_ratio() const {
  if (fp32.memory.tensor_bytes == 0) return 0;
  return static_cast<double>(mixed.memory.tensor_bytes) /
         static_cast<double>(fp32.memory.tensor_bytes);
}

}  // namespace halftone::tasks
