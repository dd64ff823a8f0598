#include "halftone/numerics/tensor_range.h"

#include <torch/torch.h>

#include <limits>

#include "tests/support/test.h"

namespace halftone::numerics {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(TensorRange, IsTheSameForEveryFormatAndLayout) {
  const at::Tensor values =
      torch::tensor({-2.5, 0.0, kInfinity, 4.0, std::nan(""), -kInfinity, 0.0, 1.0})
          .reshape({2, 4});
  for (const auto& [type, name] : {std::pair{torch::kFloat, "fp32"},
                                   {torch::kHalf, "fp16"},
                                   {torch::kBFloat16, "bf16"},
                                   {torch::kDouble, "fp64"}}) {
    const at::Tensor typed = values.to(type);
    for (const at::Tensor& each :
         {typed, typed.t(), torch::cat({typed, typed}, 1).slice(1, 0, 4)}) {
      const TensorRange range = measure_range(each);
      EXPECT_EQ(range.format, name);
      EXPECT_EQ(range.low, -2.5) << name;
      EXPECT_EQ(range.high, 4.0) << name;
      EXPECT_EQ(range.amax(), 4.0);
      EXPECT_EQ(range.count, 8);
      EXPECT_EQ(range.zeros, 2);
      EXPECT_EQ(range.nans, 1);
      EXPECT_EQ(range.positive_infinities, 1);
      EXPECT_EQ(range.negative_infinities, 1);
    }
  }
  EXPECT_EQ(measure_range(values.to(torch::kHalf)).text(),
            "fp16 (2, 4)  -2.5 to 4, 2 of 8 zero, 1 NaN, 1 +inf, 1 -inf (of 8)");
}

TEST(TensorRange, WhatHasNoneIsSaid) {
  EXPECT_EQ(measure_range(torch::zeros({3}, torch::kLong)).text(), "int64 (3)");
  EXPECT_EQ(measure_range(torch::zeros({0})).text(), "fp32 (0)");
  EXPECT_EQ(measure_range(at::Tensor()).format, "");
  EXPECT_EQ(measure_range(torch::full({2}, kInfinity)).amax(), 0.0);
  const at::Tensor complex = torch::complex(torch::ones({2}), torch::full({2}, -3.0));
  EXPECT_EQ(measure_range(complex).low, -3.0);
}

}  // namespace
}  // namespace halftone::numerics
