// BLEU of a corpus (Papineni et al. 2002), with sacrebleu's defaults (Post 2018): the tokens of
// mteval-v13a, case kept, n-grams up to four, exponential smoothing of precisions that are zero,
// one reference for each text.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::metrics {

// The words and marks that mteval-v13a cuts UTF-8 text into. What it cuts off are ASCII's marks;
// other characters only separate where they are white space (Python's str.isspace()).
HALFTONE_API std::vector<std::string> tokens_13a(std::string_view text);

// Torch-free; not thread-safe.
class HALFTONE_API Bleu {
 public:
  static constexpr std::size_t kOrders = 4;

  void add(std::string_view hypothesis, std::string_view reference);

  // 0 to 100; 0 of nothing.
  double score() const;
  double brevity_penalty() const;

 private:
  std::array<std::int64_t, kOrders> correct_{}, total_{};  // n-grams of n = 1 to kOrders
  std::int64_t hypothesis_length_ = 0, reference_length_ = 0;
};

}  // namespace halftone::metrics
