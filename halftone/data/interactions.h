// Pairs of users and items as batches: ratings, and what was taken against what was not.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/data/batch_builder.h"

namespace halftone::data {

struct Interaction {
  int64_t user = 0, item = 0;
  float rating = 0;
};

// input: (N,2) int64, user and item; target: (N) fp32, the rating.
class HALFTONE_API RatingBatches : public BatchBuilder {
 public:
  explicit RatingBatches(std::vector<Interaction> ratings) : ratings_(std::move(ratings)) {}
  int64_t size() const override { return static_cast<int64_t>(ratings_.size()); }
  Batch build(std::span<const int64_t> indices, int64_t epoch, uint64_t seed) const override;

 private:
  std::vector<Interaction> ratings_;
};

// Which items each user has, to draw others. Thread-safe once it is made.
class HALFTONE_API TakenItems {
 public:
  // Numbers from 0 below users and items.
  TakenItems(const std::vector<Interaction>& interactions, int64_t users, int64_t items);

  int64_t items() const { return items_; }
  bool has(int64_t user, int64_t item) const;
  const std::vector<int64_t>& of(int64_t user) const {  // ascending
    return taken_[static_cast<size_t>(user)];
  }

 private:
  std::vector<std::vector<int64_t>> taken_;
  int64_t items_;
};

// Each example: a pair that is there and `others` of the same user that are not, drawn anew in each
// epoch by (seed, epoch, index). input: (N, 1 + others, 2) int64, the true pair first; target: (N,
// 1
// + others) fp32, 1 and 0.
class HALFTONE_API SampledPairs : public BatchBuilder {
 public:
  // distinct: no item is drawn twice for one pair (of rankings). Throws Error where a user has
  // fewer items left than `others`.
  SampledPairs(std::vector<Interaction> pairs, std::shared_ptr<const TakenItems> taken,
               int64_t others, bool distinct);
  int64_t size() const override { return static_cast<int64_t>(pairs_.size()); }
  Batch build(std::span<const int64_t> indices, int64_t epoch, uint64_t seed) const override;

 private:
  std::vector<Interaction> pairs_;
  std::shared_ptr<const TakenItems> taken_;
  int64_t others_;
  bool distinct_;
};

}  // namespace halftone::data
