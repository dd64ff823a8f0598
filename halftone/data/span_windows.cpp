#include "halftone/data/span_windows.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "halftone/data/length_order.h"

namespace halftone::data {

Batch SpanWindows::build(std::span<const int64_t> indices, int64_t, uint64_t) const {
  const auto count = static_cast<int64_t>(indices.size());
  size_t longest = 1;
  for (const int64_t index : indices) longest = std::max(longest, window(index).tokens.size());
  const auto width = static_cast<int64_t>(longest);
  Batch batch;
  batch.input = at::full({count, width}, padding_, at::kLong);
  batch.target = at::empty({count, 2}, at::kLong);
  batch.indices.assign(indices.begin(), indices.end());
  at::Tensor mask = at::zeros({count, width}, at::kBool), text = at::zeros_like(mask);
  at::Tensor types = at::zeros({count, width}, at::kLong);
  for (int64_t row = 0; row < count; ++row) {
    const SpanWindow& one = window(indices[static_cast<size_t>(row)]);
    const auto length = static_cast<int64_t>(one.tokens.size());
    std::copy(one.tokens.begin(), one.tokens.end(),
              batch.input.mutable_data_ptr<int64_t>() + row * width);
    mask[row].narrow(0, 0, length).fill_(true);
    text[row].narrow(0, one.text_begin, one.text_end - one.text_begin).fill_(true);
    types[row].narrow(0, one.text_begin, length - one.text_begin).fill_(1);
    batch.target.mutable_data_ptr<int64_t>()[2 * row] = one.first;
    batch.target.mutable_data_ptr<int64_t>()[2 * row + 1] = one.last;
  }
  batch.extra.emplace("mask", std::move(mask));
  batch.extra.emplace("types", std::move(types));
  batch.extra.emplace("text", std::move(text));
  return batch;
}

void SpanWindows::arrange(std::vector<int64_t>& order, int64_t batch, uint64_t key) const {
  arrange_by_length(order, batch, key,
                    [this](int64_t index) { return window(index).tokens.size(); });
}

}  // namespace halftone::data
