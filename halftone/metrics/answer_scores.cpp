#include "halftone/metrics/answer_scores.h"

#include <algorithm>
#include <map>

namespace halftone::metrics {
namespace {

double word_f1(const AnswerScores::Words& given, const AnswerScores::Words& right) {
  std::map<std::string, int> left;
  for (const std::string& word : right) ++left[word];
  double same = 0;
  for (const std::string& word : given) {
    const auto found = left.find(word);
    if (found == left.end() || found->second == 0) continue;
    --found->second;
    ++same;
  }
  if (same == 0) return 0;
  const double precision = same / static_cast<double>(given.size());
  const double recall = same / static_cast<double>(right.size());
  return 2 * precision * recall / (precision + recall);
}

}  // namespace

void AnswerScores::add(const Words& given, const std::vector<Words>& right) {
  double exact = 0, f1 = 0;
  for (const Words& each : right) {
    exact = std::max(exact, given == each ? 1.0 : 0.0);
    f1 = std::max(f1, word_f1(given, each));
  }
  ++count_;
  exact_ += exact;
  f1_ += f1;
}

double AnswerScores::exact_match() const {
  return count_ ? exact_ / static_cast<double>(count_) : 0;
}

double AnswerScores::f1() const { return count_ ? f1_ / static_cast<double>(count_) : 0; }

}  // namespace halftone::metrics
