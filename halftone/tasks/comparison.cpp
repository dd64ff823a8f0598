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

double ArmResult::samples_per_s(std::int64_t batch) const {
  const double median = step_ms.median();
  return median > 0 ? static_cast<double>(batch) / median * 1e3 : 0;
}

std::optional<double> Comparison::speedup() const {
  if (fp32.step_ms.count() == 0 || !(mixed.step_ms.median() > 0)) return std::nullopt;
  return fp32.step_ms.median() / mixed.step_ms.median();
}

std::optional<double> Comparison::memory_ratio() const {
  if (!fp32.memory || !mixed.memory || fp32.memory->tensor_bytes == 0) return std::nullopt;
  return static_cast<double>(mixed.memory->tensor_bytes) /
         static_cast<double>(fp32.memory->tensor_bytes);
}

}  // namespace halftone::tasks
