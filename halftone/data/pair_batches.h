// Texts and what they are turned into, as padded batches of pairs of about one length.
#pragma once

#include <vector>

#include "halftone/base/export.h"
#include "halftone/data/batch_builder.h"

namespace halftone::data {

struct TokenPair {
  std::vector<int64_t> source;
  std::vector<int64_t> target;  // start token first, end token last: two at least
};

// input: (N,S) int64; extra "mask": (N,S) bool, true where there is a token; extra "prefix": (N,T)
// int64, the target without its end; target: (N,T) int64, the target without its start, so that
// place t holds what follows prefix up to t. S and T are the batch's longest; padding is
// kPaddingToken, in target kIgnoredTarget (token_windows.h). Pairs of about one length come
// together (length_order.h), by the target first: a decoder with its output over the vocabulary
// costs more than an encoder.
class HALFTONE_API PairBatches : public BatchBuilder {
 public:
  // Throws Error for a target of fewer than two tokens.
  explicit PairBatches(std::vector<TokenPair> pairs);

  int64_t size() const override { return static_cast<int64_t>(pairs_.size()); }
  Batch build(std::span<const int64_t> indices, int64_t epoch, uint64_t seed) const override;
  void arrange(std::vector<int64_t>& order, int64_t batch, uint64_t key) const override;

 private:
  const TokenPair& pair(int64_t index) const { return pairs_[static_cast<size_t>(index)]; }

  std::vector<TokenPair> pairs_;
};

}  // namespace halftone::data
