#include "halftone/precision/rounding.h"

#include <torch/torch.h>

#include <cmath>
#include <random>

#include "tests/support/test.h"

namespace halftone {
namespace {

// Nearest, ties to even, by arithmetic in fp64: `bits` of precision, no exponent below `lowest`.
double rounded(double value, int bits, int lowest) {
  if (value == 0) return value;
  const int exponent = std::max(std::ilogb(value), lowest);
  const double ulp = std::ldexp(1.0, exponent - bits + 1);
  return std::nearbyint(value / ulp) * ulp;
}

// Values beside ties: LibTorch's conversion through fp32 gets about half of them wrong.
double beside_a_tie(std::mt19937_64& random, int bits, int lowest) {
  const int exponent = lowest - 3 + static_cast<int>(random() % 16);
  const double ulp = std::ldexp(1.0, std::max(exponent, lowest) - bits + 1);
  const double tie =
      rounded(std::ldexp(1.0 + 0x1p-53 * double(random() >> 11), exponent), bits, lowest) + ulp / 2;
  const double off = (static_cast<int>(random() % 3) - 1) * 0x1p-40;
  return (random() % 2 ? 1 : -1) * tie * (1 + off);
}

void expect_one_rounding(Format format, int bits, int lowest) {
  std::mt19937_64 random(5);
  const auto exact = at::empty({3000}, at::kDouble);
  for (int i = 0; i < 3000; ++i) {
    exact.data_ptr<double>()[i] = beside_a_tie(random, bits, lowest);
  }
  const auto result = rounded_to(exact, format).to(at::kDouble);
  int stock_wrong = 0;
  const auto stock = exact.to(scalar_type(format)).to(at::kDouble);
  for (int i = 0; i < 3000; ++i) {
    const double value = exact.data_ptr<double>()[i];
    const double expected = rounded(value, bits, lowest);
    EXPECT_EQ(result.data_ptr<double>()[i], expected) << value;
    stock_wrong += stock.data_ptr<double>()[i] != expected;
  }
  EXPECT_GT(stock_wrong, 300);  // the values do tell one rounding from two
}

TEST(RoundedTo, HalfFormatsFromFp64AreRoundedOnce) {
  expect_one_rounding(Format::bf16, 8, -126);
  expect_one_rounding(Format::fp16, 11, -14);
}

TEST(RoundedTo, KeepsInfinitiesNansAndSigns) {
  const auto values =
      at::tensor({INFINITY + 0.0, -INFINITY - 0.0, 1e300, -0.0, 70000.0}, at::kDouble);
  const auto result = rounded_to(values, Format::fp16).to(at::kDouble);
  EXPECT_TRUE(at::equal(
      result, at::tensor({INFINITY + 0.0, -INFINITY - 0.0, INFINITY + 0.0, 0.0, INFINITY + 0.0},
                         at::kDouble)));
  EXPECT_TRUE(std::signbit(result[3].item<double>()));
  EXPECT_TRUE(std::isnan(rounded_to(at::full({1}, NAN, at::kDouble), Format::bf16).item<float>()));
}

TEST(RoundedTo, KeepsStridesAndTheTensorThatHasTheFormat) {
  const auto image = at::randn({2, 3, 4, 5}, at::kDouble).to(at::MemoryFormat::ChannelsLast);
  EXPECT_EQ(rounded_to(image, Format::bf16).strides(), image.strides());
  EXPECT_TRUE(rounded_to(image, Format::fp64).is_same(image));
  EXPECT_EQ(rounded_to(at::empty({0, 3}, at::kDouble), Format::fp16).sizes(),
            at::IntArrayRef({0, 3}));
}

}  // namespace
}  // namespace halftone
