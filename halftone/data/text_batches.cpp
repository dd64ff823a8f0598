#include "halftone/data/text_batches.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <utility>

#include "halftone/data/length_order.h"

namespace halftone::data {

Batch TextBatches::build(std::span<const int64_t> indices, int64_t, uint64_t) const {
  const auto count = static_cast<int64_t>(indices.size());
  size_t longest = 1;
  for (const int64_t index : indices) longest = std::max(longest, length(index));
  const auto width = static_cast<int64_t>(longest);
  Batch batch;
  batch.input = at::full({count, width}, kPaddingToken, at::kLong);
  batch.target = at::empty({count}, at::kLong);
  batch.indices.assign(indices.begin(), indices.end());
  at::Tensor mask = at::zeros({count, width}, at::kBool);
  auto* input = batch.input.mutable_data_ptr<int64_t>();
  auto* there = mask.mutable_data_ptr<bool>();
  auto* target = batch.target.mutable_data_ptr<int64_t>();
  for (const int64_t index : indices) {
    const LabelledText& text = texts_[static_cast<size_t>(index)];
    std::copy(text.tokens.begin(), text.tokens.end(), input);
    std::fill_n(there, text.tokens.size(), true);
    *target++ = text.label;
    input += width;
    there += width;
  }
  batch.extra.emplace("mask", std::move(mask));
  return batch;
}

void TextBatches::arrange(std::vector<int64_t>& order, int64_t batch, uint64_t key) const {
  arrange_by_length(order, batch, key, [this](int64_t index) { return length(index); });
}

}  // namespace halftone::data
