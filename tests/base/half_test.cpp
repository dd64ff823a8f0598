#include "halftone/base/half.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <cmath>
#include <limits>
#include <random>

#include "tests/support/test.h"

namespace halftone {
namespace {

// LibTorch's own types are the reference; NaN payloads are not compared.
TEST(Half, EveryCodeReadsAsLibTorchReadsIt) {
  for (unsigned code = 0; code < 0x10000u; ++code) {
    const auto bits = static_cast<std::uint16_t>(code);
    const float fp16 = c10::Half(bits, c10::Half::from_bits());
    const float bf16 = c10::BFloat16(bits, c10::BFloat16::from_bits());
    if (std::isnan(fp16)) {
      EXPECT_TRUE(std::isnan(fp16_to_float(bits))) << code;
    } else {
      EXPECT_EQ(std::bit_cast<unsigned>(fp16_to_float(bits)), std::bit_cast<unsigned>(fp16))
          << code;
    }
    if (std::isnan(bf16)) {
      EXPECT_TRUE(std::isnan(bf16_to_float(bits))) << code;
    } else {
      EXPECT_EQ(std::bit_cast<unsigned>(bf16_to_float(bits)), std::bit_cast<unsigned>(bf16))
          << code;
    }
  }
}

void expect_same_rounding(float value) {
  if (std::isnan(value)) {
    EXPECT_TRUE(std::isnan(fp16_to_float(float_to_fp16(value))));
    EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(value))));
    return;
  }
  EXPECT_EQ(float_to_fp16(value), c10::Half(value).x) << value;
  EXPECT_EQ(float_to_bf16(value), c10::BFloat16(value).x) << value;
}

TEST(Half, RandomFloatsRoundAsLibTorchRounds) {
  std::mt19937 random(7);
  for (int i = 0; i < 1'000'000; ++i)
    expect_same_rounding(std::bit_cast<float>(static_cast<std::uint32_t>(random())));
  for (int i = 0; i < 1'000'000; ++i) {  // around fp16's subnormals and its overflow
    const auto exponent =
        static_cast<std::uint32_t>(i % 2 ? 100 + random() % 15 : 140 + random() % 5);
    const auto rest = static_cast<std::uint32_t>(random()) & 0x807fffffu;
    expect_same_rounding(std::bit_cast<float>((exponent << 23) | rest));
  }
}

TEST(Half, TiesGoToEven) {
  EXPECT_EQ(float_to_fp16(1 + 0x1p-11f), 0x3c00);
  EXPECT_EQ(float_to_fp16(1 + 3 * 0x1p-11f), 0x3c02);
  EXPECT_EQ(float_to_fp16(65519.996f), 0x7bff);
  EXPECT_EQ(float_to_fp16(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_fp16(0x1p-25f), 0);
  EXPECT_EQ(float_to_bf16(1 + 0x1p-8f), 0x3f80);
}

}  // namespace
}  // namespace halftone
