#include "halftone/data/interactions.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <string>

#include "halftone/base/error.h"
#include "halftone/data/random.h"

namespace halftone::data {

Batch RatingBatches::build(std::span<const int64_t> indices, int64_t, uint64_t) const {
  const auto count = static_cast<int64_t>(indices.size());
  Batch batch;
  batch.input = at::empty({count, 2}, at::kLong);
  batch.target = at::empty({count}, at::kFloat);
  batch.indices.assign(indices.begin(), indices.end());
  auto* pair = batch.input.mutable_data_ptr<int64_t>();
  auto* rating = batch.target.mutable_data_ptr<float>();
  for (const int64_t index : indices) {
    const Interaction& each = ratings_[static_cast<size_t>(index)];
    *pair++ = each.user;
    *pair++ = each.item;
    *rating++ = each.rating;
  }
  return batch;
}

TakenItems::TakenItems(const std::vector<Interaction>& interactions, int64_t users, int64_t items)
    : taken_(static_cast<size_t>(users)), items_(items) {
  for (const Interaction& each : interactions) {
    taken_[static_cast<size_t>(each.user)].push_back(each.item);
  }
  for (auto& list : taken_) std::sort(list.begin(), list.end());
}

bool TakenItems::has(int64_t user, int64_t item) const {
  const auto& list = of(user);
  return std::binary_search(list.begin(), list.end(), item);
}

SampledPairs::SampledPairs(std::vector<Interaction> pairs, std::shared_ptr<const TakenItems> taken,
                           int64_t others, bool distinct)
    : pairs_(std::move(pairs)), taken_(std::move(taken)), others_(others), distinct_(distinct) {
  const int64_t needed = distinct_ ? others_ : 1;
  for (const Interaction& each : pairs_) {
    const auto left = taken_->items() - static_cast<int64_t>(taken_->of(each.user).size());
    if (left >= needed) continue;
    throw Error("a user with " + std::to_string(left) + " items left to draw",
                std::to_string(needed) + " or more", "interactions");
  }
}

Batch SampledPairs::build(std::span<const int64_t> indices, int64_t epoch, uint64_t seed) const {
  const auto count = static_cast<int64_t>(indices.size());
  Batch batch;
  batch.input = at::empty({count, 1 + others_, 2}, at::kLong);
  batch.target = at::zeros({count, 1 + others_}, at::kFloat);
  batch.target.select(1, 0).fill_(1);
  batch.indices.assign(indices.begin(), indices.end());
  auto* out = batch.input.mutable_data_ptr<int64_t>();
  std::vector<int64_t> drawn;
  for (const int64_t index : indices) {
    const Interaction& pair = pairs_[static_cast<size_t>(index)];
    CounterRng random(stream_key(seed, epoch, static_cast<uint64_t>(index)));
    drawn.assign(1, pair.item);
    while (static_cast<int64_t>(drawn.size()) < 1 + others_) {
      const int64_t item = random.below(taken_->items());
      if (taken_->has(pair.user, item)) continue;
      if (distinct_ && std::find(drawn.begin(), drawn.end(), item) != drawn.end()) continue;
      drawn.push_back(item);
    }
    for (const int64_t item : drawn) {
      *out++ = pair.user;
      *out++ = item;
    }
  }
  return batch;
}

}  // namespace halftone::data
