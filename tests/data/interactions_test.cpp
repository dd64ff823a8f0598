#include "halftone/data/interactions.h"

#include <ATen/Functions.h>

#include <numeric>
#include <set>

#include "tests/support/test.h"

namespace halftone::data {
namespace {

std::vector<Interaction> some_pairs() {
  return {{0, 1, 5}, {0, 3, 2}, {1, 0, 4}, {1, 1, 1}, {1, 2, 3}};
}

std::vector<int64_t> all_of(const BatchBuilder& builder) {
  std::vector<int64_t> all(static_cast<size_t>(builder.size()));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

TEST(RatingBatches, HoldPairsAndRatings) {
  const RatingBatches ratings(some_pairs());
  const Batch batch = ratings.build(std::vector<int64_t>{3, 0}, 0, 0);
  EXPECT_TRUE(at::equal(batch.input, at::tensor({1, 1, 0, 1}, at::kLong).reshape({2, 2})));
  EXPECT_TRUE(at::equal(batch.target, at::tensor({1.0f, 5.0f})));
}

TEST(SampledPairs, OthersAreNotTheUsersAndDependOnSeedEpochAndIndex) {
  const auto taken = std::make_shared<TakenItems>(some_pairs(), 2, 8);
  const SampledPairs sampled(some_pairs(), taken, 4, true);
  const Batch batch = sampled.build(all_of(sampled), 2, 7);
  EXPECT_EQ(batch.input.sizes(), at::IntArrayRef({5, 5, 2}));
  for (int64_t i = 0; i < 5; ++i) {
    std::set<int64_t> drawn;
    for (int64_t k = 0; k < 5; ++k) {
      const int64_t user = batch.input[i][k][0].item<int64_t>();
      const int64_t item = batch.input[i][k][1].item<int64_t>();
      EXPECT_EQ(user, some_pairs()[static_cast<size_t>(i)].user);
      EXPECT_EQ(taken->has(user, item), k == 0);
      EXPECT_EQ(batch.target[i][k].item<float>(), k == 0 ? 1.0f : 0.0f);
      drawn.insert(item);
    }
    EXPECT_EQ(drawn.size(), 5u);
  }
  EXPECT_TRUE(at::equal(batch.input[3], sampled.build(std::vector<int64_t>{3}, 2, 7).input[0]));
  EXPECT_FALSE(at::equal(batch.input, sampled.build(all_of(sampled), 3, 7).input));
  EXPECT_FALSE(at::equal(batch.input, sampled.build(all_of(sampled), 2, 8).input));
}

TEST(SampledPairs, UserWithTooFewItemsLeftIsAnError) {
  const auto taken = std::make_shared<TakenItems>(some_pairs(), 2, 5);
  EXPECT_ERROR(SampledPairs(some_pairs(), taken, 3, true), "2 items left to draw; expected 3");
}

}  // namespace
}  // namespace halftone::data
