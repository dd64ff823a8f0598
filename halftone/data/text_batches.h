// Texts of different lengths as padded batches of texts of about one length.
#pragma once

#include <vector>

#include "halftone/base/export.h"
#include "halftone/data/batch_builder.h"

namespace halftone::data {

// The token that padding is written with; Vocabulary's first.
inline constexpr int64_t kPaddingToken = 0;

struct LabelledText {
  std::vector<int64_t> tokens;
  int64_t label = 0;
};

// input: (N,T) int64, T the longest of the batch; extra "mask": (N,T) bool, true where there is a
// token; target: (N) int64. Texts of about one length come together (length_order.h).
class HALFTONE_API TextBatches : public BatchBuilder {
 public:
  explicit TextBatches(std::vector<LabelledText> texts) : texts_(std::move(texts)) {}

  int64_t size() const override { return static_cast<int64_t>(texts_.size()); }
  Batch build(std::span<const int64_t> indices, int64_t epoch, uint64_t seed) const override;
  void arrange(std::vector<int64_t>& order, int64_t batch, uint64_t key) const override;

 private:
  size_t length(int64_t index) const { return texts_[static_cast<size_t>(index)].tokens.size(); }

  std::vector<LabelledText> texts_;
};

}  // namespace halftone::data
