#include "halftone/metrics/top_k.h"

#include <torch/torch.h>

#include <limits>

#include "tests/support/test.h"

namespace halftone::metrics {
namespace {

TEST(TopK, CountsWhatLibTorchsTopkFinds) {
  torch::manual_seed(0);
  const auto logits = torch::randn({200, 10});
  const auto target = torch::randint(10, {200}, torch::kLong);
  for (const std::int64_t k : {1, 3, 5, 10, 99}) {
    const auto best = std::get<1>(logits.topk(std::min<std::int64_t>(k, 10), 1));
    const auto expected = best.eq(target.unsqueeze(1)).any(1).sum().item<std::int64_t>();
    EXPECT_EQ(top_k_correct(logits, target, k), expected) << k;
  }
}

TEST(TopK, WorksOnHalfLogits) {
  const auto logits = torch::eye(10).to(torch::kBFloat16);
  EXPECT_EQ(top_k_correct(logits, torch::arange(10), 1), 10);
  EXPECT_EQ(top_k_correct(logits.to(torch::kHalf), torch::arange(10), 1), 10);
}

TEST(TopK, AConstantNetworkIsRightForOneClass) {
  const auto target = torch::arange(10);
  EXPECT_EQ(top_k_correct(torch::zeros({10, 10}), target, 1), 1);
  EXPECT_EQ(top_k_correct(torch::zeros({10, 10}), target, 4), 4);
}

TEST(TopK, NanIsNeverRight) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  auto logits = torch::eye(3);
  EXPECT_EQ(top_k_correct(torch::full({3, 3}, nan), torch::arange(3), 1), 0);
  logits[0][2] = nan;  // ranks above the right one
  EXPECT_EQ(top_k_correct(logits, torch::arange(3), 1), 2);
}

TEST(TopK, AccumulatesOverBatches) {
  TopKAccuracy accuracy({1, 2});
  EXPECT_EQ(accuracy.accuracy(), 0);
  accuracy.add(torch::eye(3), torch::tensor({0, 1, 1}, torch::kLong));
  accuracy.add(torch::eye(3).slice(0, 0, 1), torch::tensor({0}, torch::kLong));
  EXPECT_EQ(accuracy.accuracy(1), 0.75);
  EXPECT_EQ(accuracy.accuracy(2), 0.75);  // class 1 ranks behind 2 and 0 in the third row
  EXPECT_EQ(accuracy.samples(), 4);
  EXPECT_ERROR(accuracy.accuracy(5), "k = 5");
  accuracy.reset();
  EXPECT_EQ(accuracy.samples(), 0);
}

TEST(TopK, EmptyBatchesCountNothing) {
  EXPECT_EQ(top_k_correct(torch::zeros({0, 10}), torch::zeros({0}, torch::kLong), 1), 0);
}

TEST(TopK, WrongInputIsAnError) {
  const auto logits = torch::zeros({2, 3});
  EXPECT_ERROR(top_k_correct(logits, torch::zeros({3}, torch::kLong), 1), "target [3] of Long");
  EXPECT_ERROR(top_k_correct(logits, torch::zeros({2}), 1), "of Float; expected (N, C)");
  EXPECT_ERROR(top_k_correct(logits, torch::tensor({0, 3}, torch::kLong), 1),
               "target 3; expected 0 to 2");
  EXPECT_ERROR(TopKAccuracy({0}), "k = 0");
}

}  // namespace
}  // namespace halftone::metrics
