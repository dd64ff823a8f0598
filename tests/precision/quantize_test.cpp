#include "halftone/precision/quantize.h"

#include <torch/torch.h>

#include "tests/support/test.h"

namespace halftone {
namespace {

const at::Tensor kUnit = torch::ones({1});

Quantization to(const std::string& format) { return {.format = format}; }

TEST(NumberFormats, AreKnownByNameAndRefusedWithTheNearest) {
  EXPECT_EQ(largest_number("e4m3fn"), 448);
  EXPECT_EQ(largest_number("e4m3"), 240);
  EXPECT_EQ(largest_number("e5m2"), 57344);
  EXPECT_EQ(largest_number("e2m1fn"), 6);
  EXPECT_EQ(largest_number("int4"), 7);
  for (const std::string& name : number_format_names()) EXPECT_TRUE(is_number_format(name));
  EXPECT_FALSE(is_number_format("fp8"));
  EXPECT_ERROR(largest_number("e4m3n"), "unknown number format \"e4m3n\"; expected e4m3fn, e4m3, ");
  EXPECT_ERROR(largest_number("e4m3n"), "(did you mean \"e4m3fn\"?)");
}

// LibTorch's own casts, which saturate nothing: within the format's range they are the same.
TEST(Quantize, IsLibTorchsCastWithinTheRange) {
  torch::manual_seed(1);
  for (const auto& [name, type] :
       {std::pair{"e4m3fn", at::kFloat8_e4m3fn}, std::pair{"e5m2", at::kFloat8_e5m2}}) {
    for (at::ScalarType given : {at::kFloat, at::kHalf, at::kBFloat16}) {
      const at::Tensor x = torch::randn({37, 11}).to(given) * 50;
      const at::Tensor expected = x.to(type).to(given);
      EXPECT_TRUE(quantize_dequantize(x, to(name), kUnit).equal(expected)) << name;
      EXPECT_TRUE(quantize_dequantize(x.t(), to(name), kUnit).equal(expected.t())) << name;
      EXPECT_TRUE(quantize_dequantize(x.slice(1, 2, 9, 3), to(name), kUnit)
                      .equal(expected.slice(1, 2, 9, 3)));
      const at::Tensor codes = quantize(x, to(name), kUnit);
      EXPECT_TRUE(codes.equal(x.to(type).view(at::kByte))) << name;
      EXPECT_TRUE(dequantize(codes, name, kUnit).equal(expected.to(at::kFloat))) << name;
    }
  }
}

TEST(Quantize, ChannelsAreTheDimensionThatIsNamed) {
  torch::manual_seed(2);
  const at::Tensor x = torch::randn({3, 5, 4}), scales = torch::rand({5}) / 50 + 0.005;
  const at::Tensor expected =
      torch::fake_quantize_per_channel_affine(x, scales, torch::zeros({5}, at::kInt), 1, -127, 127);
  EXPECT_TRUE(quantize_dequantize(x, to("int8"), scales, 1).equal(expected));
  EXPECT_TRUE(quantize_dequantize(x, to("int8"), scales, -2).equal(expected));
  const at::Tensor last = x.transpose(1, 2);
  EXPECT_TRUE(quantize_dequantize(last, to("int8"), scales, 2).equal(expected.transpose(1, 2)));
  EXPECT_TRUE(dequantize(quantize(x, to("int8"), scales, 1), "int8", scales, 1).equal(expected));
}

TEST(Quantize, BlocksLieAlongTheDimensionThatIsNamed) {
  torch::manual_seed(3);
  const at::Tensor x = torch::randn({3, 70, 4}) * torch::exp2(torch::randint(-9, 9, {3, 70, 4}));
  const at::Tensor along =
      quantize_dequantize_blocks(x.transpose(1, 2).contiguous(), to("e2m1fn"), -1);
  EXPECT_TRUE(quantize_dequantize_blocks(x, to("e2m1fn"), 1).equal(along.transpose(1, 2)));
  EXPECT_FALSE(quantize_dequantize_blocks(x, to("e2m1fn"), 2).equal(along.transpose(1, 2)));
  // By hand: the scale is 2^(floor(log2 max) - 2), E2M1 holds 0, .5, 1, 1.5, 2, 3, 4, 6.
  const at::Tensor row = torch::tensor({12.f, 7.f, -2.6f, 0.4f, 15.9f});
  EXPECT_TRUE(quantize_dequantize_blocks(row, to("e2m1fn"))
                  .equal(torch::tensor({12.f, 8.f, -3.f, 0.f, 12.f})));
}

TEST(Quantize, StochasticRoundingFollowsItsSeed) {
  const at::Tensor x = torch::full({4096}, 1.03125f);  // a quarter from 1 to 1.125 in E4M3
  Quantization how{.format = "e4m3fn", .stochastic = true, .seed = 7};
  const at::Tensor once = quantize_dequantize(x, how, kUnit);
  EXPECT_TRUE(once.equal(quantize_dequantize(x, how, kUnit)));
  // The deviation of the mean of 4096 is 0.125 sqrt(3 / 16 / 4096); five of these.
  EXPECT_NEAR(once.mean().item<double>(), 1.03125, 5 * 0.00085);
  how.seed = 8;
  EXPECT_FALSE(once.equal(quantize_dequantize(x, how, kUnit)));
}

TEST(Quantize, BadInputIsRefused) {
  const at::Tensor x = torch::ones({2, 3});
  EXPECT_ERROR(quantize_dequantize(x, to("e4m3"), torch::ones({2}), 1),
               "quantize: 2 scales; expected 1, or the 3 of dimension 1");
  EXPECT_ERROR(quantize_dequantize(x, to("e4m3"), torch::zeros({1})),
               "quantize: scale 0; expected a positive number");
  EXPECT_ERROR(quantize_dequantize(x, to("e4m3"), torch::full({1}, NAN)), "quantize: scale nan");
  EXPECT_ERROR(quantize_dequantize(x, to("e4m3"), torch::full({1}, 1e-40f)), "quantize: scale");
  EXPECT_ERROR(quantize_dequantize(x, to("e4m3"), torch::ones({1}, at::kDouble)),
               "quantize: scales of Double; expected fp32");
  EXPECT_ERROR(quantize_dequantize(x.to(at::kDouble), to("e4m3"), kUnit),
               "quantize: a tensor of Double on cpu; expected");
  EXPECT_ERROR(dequantize(x, "e4m3", kUnit), "dequantize: codes of Float; expected uint8");
  EXPECT_ERROR(quantize_dequantize(x, to("fp8"), kUnit), "unknown number format \"fp8\"");
  EXPECT_EQ(quantize_dequantize(torch::ones({0, 3}), to("e4m3"), torch::ones({3}), 1).numel(), 0);
  EXPECT_EQ(quantize_dequantize_blocks(torch::ones({0, 3}), to("e4m3")).numel(), 0);
}

}  // namespace
}  // namespace halftone
