#include "halftone/tasks/learner.h"

namespace halftone::tasks {

std::vector<std::string> PredictOptions::given() const {
  std::vector<std::string> names;
  if (top) names.emplace_back("top");
  if (length) names.emplace_back("length");
  if (temperature) names.emplace_back("temperature");
  if (pictures) names.emplace_back("pictures");
  if (seed) names.emplace_back("seed");
  return names;
}

}  // namespace halftone::tasks
