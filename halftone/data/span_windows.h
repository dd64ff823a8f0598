// Questions with texts that may answer them, as batches for a network that finds spans.
#pragma once

#include <utility>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/data/batch_builder.h"

namespace halftone::data {

// [CLS] question [SEP] text [SEP], as BERT takes it (Devlin et al. 2019, 4.2).
struct SpanWindow {
  std::vector<int64_t> tokens;
  int64_t text_begin = 0, text_end = 0;  // the tokens of the text: text_begin to text_end - 1
  int64_t first = 0, last = 0;           // of the answer; 0, the [CLS], where it is not in here
};

// input: (N,T) int64, T the longest of the batch, padded with `padding`; extra "mask": (N,T) bool,
// true where there is a token; "types": (N,T) int64, 1 in the text and its [SEP]; "text": (N,T)
// bool, true in the text; target: (N,2) int64, first and last. Windows of about one length come
// together (length_order.h).
class HALFTONE_API SpanWindows : public BatchBuilder {
 public:
  SpanWindows(std::vector<SpanWindow> windows, int64_t padding)
      : windows_(std::move(windows)), padding_(padding) {}

  int64_t size() const override { return static_cast<int64_t>(windows_.size()); }
  Batch build(std::span<const int64_t> indices, int64_t epoch, uint64_t seed) const override;
  void arrange(std::vector<int64_t>& order, int64_t batch, uint64_t key) const override;

 private:
  const SpanWindow& window(int64_t index) const { return windows_[static_cast<size_t>(index)]; }

  std::vector<SpanWindow> windows_;
  int64_t padding_;
};

}  // namespace halftone::data
