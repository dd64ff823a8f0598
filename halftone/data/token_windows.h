// A long text as batches of windows, for language models.
#pragma once

#include "halftone/data/batch_builder.h"

namespace halftone::data {

// A target that is counted elsewhere: what cross entropy leaves out.
inline constexpr int64_t kIgnoredTarget = -100;

// input: (N,T) int64, T tokens in a row; target: (N,T) int64, each one's next token. The windows
// lie side by side, so that each token is a target once per epoch.
class HALFTONE_API TokenWindows : public BatchBuilder {
 public:
  // tokens: (L) int64, L more than twice the length. shifted (for training): each epoch's windows
  // begin at another place, below `length`, drawn by (seed, epoch); what is left over at both ends
  // is left out. Else: from the start, and the last window reaches back over what was counted, its
  // targets there kIgnoredTarget. Throws Error for another tensor or one that is too short; source:
  // named in it.
  TokenWindows(at::Tensor tokens, int64_t length, bool shifted, const std::string& source);

  int64_t size() const override { return windows_; }
  Batch build(std::span<const int64_t> indices, int64_t epoch, uint64_t seed) const override;

 private:
  at::Tensor tokens_;
  int64_t length_, windows_;
  bool shifted_;
};

}  // namespace halftone::data
