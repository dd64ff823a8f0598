#include "halftone/data/text_batches.h"

#include <ATen/Functions.h>

#include <set>

#include "halftone/data/loader.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

// Text i has 1 + (7 i) % 30 tokens, all i + 1, and label i % 2.
std::shared_ptr<TextBatches> numbered_texts(int64_t count) {
  std::vector<LabelledText> texts;
  for (int64_t i = 0; i < count; ++i) {
    texts.push_back({std::vector<int64_t>(static_cast<size_t>(1 + 7 * i % 30), i + 1), i % 2});
  }
  return std::make_shared<TextBatches>(std::move(texts));
}

TEST(TextBatches, ArePaddedToTheLongestAndMasked) {
  const Batch batch = numbered_texts(9)->build(std::vector<int64_t>{1, 0}, 0, 0);
  EXPECT_EQ(batch.input.sizes(), at::IntArrayRef({2, 8}));
  EXPECT_TRUE(at::equal(batch.input[0], at::full({8}, 2, at::kLong)));
  EXPECT_TRUE(at::equal(batch.input[1], at::tensor({1, 0, 0, 0, 0, 0, 0, 0}, at::kLong)));
  EXPECT_TRUE(at::equal(batch.at("mask"), batch.input.ne(kPaddingToken)));
  EXPECT_TRUE(at::equal(batch.target, at::tensor({1, 0}, at::kLong)));
}

TEST(TextBatches, TextsOfOneLengthComeTogetherEachOnceInAnOrderOfTheSeed) {
  const auto texts = numbered_texts(400);
  const auto epoch = [&](uint64_t seed) {
    Loader loader(texts, {.batch = 8, .seed = seed});
    loader.start_epoch(0);
    std::vector<int64_t> order;
    int64_t cells = 0, filled = 0;
    while (const auto batch = loader.next()) {
      order.insert(order.end(), batch->indices.begin(), batch->indices.end());
      cells += batch->input.numel();
      filled += batch->at("mask").sum().item<int64_t>();
    }
    EXPECT_GT(static_cast<double>(filled), 0.85 * static_cast<double>(cells));
    EXPECT_EQ(std::set<int64_t>(order.begin(), order.end()).size(), 400u);
    return order;
  };
  EXPECT_EQ(epoch(1), epoch(1));
  EXPECT_NE(epoch(1), epoch(2));
}

TEST(TextBatches, BatchThatIsNotFullStaysTheLast) {
  Loader loader(numbered_texts(21), {.batch = 8});
  loader.start_epoch(3);
  std::vector<size_t> sizes;
  while (const auto batch = loader.next()) sizes.push_back(batch->indices.size());
  EXPECT_EQ(sizes, (std::vector<size_t>{8, 8, 5}));
}

}  // namespace
}  // namespace halftone::data
