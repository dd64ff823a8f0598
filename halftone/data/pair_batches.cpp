#include "halftone/data/pair_batches.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <string>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/data/length_order.h"
#include "halftone/data/text_batches.h"
#include "halftone/data/token_windows.h"

namespace halftone::data {

PairBatches::PairBatches(std::vector<TokenPair> pairs) : pairs_(std::move(pairs)) {
  for (size_t i = 0; i < pairs_.size(); ++i) {
    if (pairs_[i].target.size() >= 2) continue;
    throw Error("a target of " + std::to_string(pairs_[i].target.size()) + " tokens",
                "its start and its end at least", "pair " + std::to_string(i));
  }
}

Batch PairBatches::build(std::span<const int64_t> indices, int64_t, uint64_t) const {
  const auto count = static_cast<int64_t>(indices.size());
  size_t longest_source = 1, longest_target = 2;
  for (const int64_t index : indices) {
    longest_source = std::max(longest_source, pair(index).source.size());
    longest_target = std::max(longest_target, pair(index).target.size());
  }
  const auto sources = static_cast<int64_t>(longest_source);
  const auto targets = static_cast<int64_t>(longest_target) - 1;
  Batch batch;
  batch.input = at::full({count, sources}, kPaddingToken, at::kLong);
  batch.target = at::full({count, targets}, kIgnoredTarget, at::kLong);
  batch.indices.assign(indices.begin(), indices.end());
  at::Tensor mask = at::zeros({count, sources}, at::kBool);
  at::Tensor prefix = at::full({count, targets}, kPaddingToken, at::kLong);
  auto* input = batch.input.mutable_data_ptr<int64_t>();
  auto* there = mask.mutable_data_ptr<bool>();
  auto* before = prefix.mutable_data_ptr<int64_t>();
  auto* target = batch.target.mutable_data_ptr<int64_t>();
  for (const int64_t index : indices) {
    const TokenPair& each = pair(index);
    std::copy(each.source.begin(), each.source.end(), input);
    std::fill_n(there, each.source.size(), true);
    std::copy(each.target.begin(), each.target.end() - 1, before);
    std::copy(each.target.begin() + 1, each.target.end(), target);
    input += sources;
    there += sources;
    before += targets;
    target += targets;
  }
  batch.extra.emplace("mask", std::move(mask));
  batch.extra.emplace("prefix", std::move(prefix));
  return batch;
}

void PairBatches::arrange(std::vector<int64_t>& order, int64_t batch, uint64_t key) const {
  // Sources are far shorter than this: they decide among targets of one length.
  constexpr size_t kBeyondSources = size_t{1} << 32;
  arrange_by_length(order, batch, key, [this](int64_t index) {
    return pair(index).target.size() * kBeyondSources + pair(index).source.size();
  });
}

}  // namespace halftone::data
