#include "halftone/data/pair_batches.h"

#include <ATen/Functions.h>

#include <set>

#include "halftone/data/loader.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

TEST(PairBatches, ArePaddedAndTheTargetIsThePrefixOnePlaceAhead) {
  const PairBatches pairs({{{9, 8, 7}, {2, 5, 3}}, {{6}, {2, 4, 5, 6, 3}}});
  const Batch batch = pairs.build(std::vector<int64_t>{1, 0}, 0, 0);
  const auto longs = [](std::initializer_list<int64_t> values) {
    return at::tensor(values, at::kLong).view({2, -1});
  };
  EXPECT_TRUE(at::equal(batch.input, longs({6, 0, 0, 9, 8, 7})));
  EXPECT_TRUE(at::equal(batch.at("mask"), longs({1, 0, 0, 1, 1, 1}).to(at::kBool)));
  EXPECT_TRUE(at::equal(batch.at("prefix"), longs({2, 4, 5, 6, 2, 5, 0, 0})));
  EXPECT_TRUE(at::equal(batch.target, longs({4, 5, 6, 3, 5, 3, -100, -100})));
  EXPECT_EQ(batch.indices, (std::vector<int64_t>{1, 0}));
}

// A source may be empty (a text of white space): it is masked as a whole.
TEST(PairBatches, EmptySourcesStillHaveAPlace) {
  const PairBatches pairs({{{}, {2, 3}}});
  const Batch batch = pairs.build(std::vector<int64_t>{0}, 0, 0);
  EXPECT_EQ(batch.input.sizes(), at::IntArrayRef({1, 1}));
  EXPECT_FALSE(batch.at("mask").any().item<bool>());
}

TEST(PairBatches, PairsOfOneLengthComeTogetherEachOnceInAnOrderOfTheSeed) {
  std::vector<TokenPair> made;
  for (int64_t i = 0; i < 400; ++i) {
    made.push_back({std::vector<int64_t>(static_cast<size_t>(1 + 11 * i % 30), 5),
                    std::vector<int64_t>(static_cast<size_t>(2 + 7 * i % 30), 6)});
  }
  const auto pairs = std::make_shared<PairBatches>(std::move(made));
  const auto epoch = [&](uint64_t seed) {
    Loader loader(pairs, {.batch = 8, .seed = seed});
    loader.start_epoch(0);
    std::vector<int64_t> order;
    int64_t cells = 0, filled = 0;
    while (const auto batch = loader.next()) {
      order.insert(order.end(), batch->indices.begin(), batch->indices.end());
      cells += batch->target.numel();
      filled += batch->target.ne(-100).sum().item<int64_t>();
    }
    EXPECT_GT(static_cast<double>(filled), 0.85 * static_cast<double>(cells));
    EXPECT_EQ(std::set<int64_t>(order.begin(), order.end()).size(), 400u);
    return order;
  };
  EXPECT_EQ(epoch(1), epoch(1));
  EXPECT_NE(epoch(1), epoch(2));
}

TEST(PairBatches, TargetWithoutItsStartAndEndIsAnError) {
  EXPECT_ERROR(PairBatches({{{5}, {2, 3}}, {{5}, {2}}}), "pair 1: a target of 1 tokens");
}

}  // namespace
}  // namespace halftone::data
