// How good answers in words are: exact match and F1.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::metrics {

// Means over questions, each of which counts by the best of its right answers (Rajpurkar et al.
// 2016, 6.1). Torch-free; not thread-safe.
class HALFTONE_API AnswerScores {
 public:
  using Words = std::vector<std::string>;  // normalised

  void add(const Words& given, const std::vector<Words>& right);

  std::int64_t count() const { return count_; }
  double exact_match() const;  // the share whose words are those of a right answer; 0 of none
  double f1() const;           // of precision and recall over words, with their number; 0 of none

 private:
  std::int64_t count_ = 0;
  double exact_ = 0, f1_ = 0;
};

}  // namespace halftone::metrics
