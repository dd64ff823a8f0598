#include "halftone/tasks/comparison.h"

#include <algorithm>

namespace halftone::tasks {

double ArmResult::final_accuracy() const {
  return evaluations.empty() ? 0 : evaluations.back().accuracy;
}

double ArmResult::best_accuracy() const {
  double best = 0;
  for (const auto& evaluation : evaluations) best = std::max(best, evaluation.accuracy);
  return best;
}

double ArmResult::mean_accuracy(std::size_t last) const {
  const std::size_t count = std::min(last, evaluations.size());
  double sum = 0;
  for (std::size_t i = evaluations.size() - count; i < evaluations.size(); ++i) {
    sum += evaluations[i].accuracy;
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
