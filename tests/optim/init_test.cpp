#include "halftone/optim/init.h"

#include <torch/torch.h>

#include <cmath>

#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::init {
namespace {

Options seeded(std::uint64_t seed, Format format = Format::fp32) {
  return {format, at::make_generator<at::CPUGeneratorImpl>(seed)};
}

// fan in 64 * 9 = 576, fan out 128 * 9 = 1152; 73728 values.
at::Tensor weight() { return torch::empty({128, 64, 3, 3}); }
constexpr double kIn = 576, kOut = 1152;

double deviation(const at::Tensor& values) {
  return values.to(torch::kDouble).std().item<double>();
}

// The standard error of a standard deviation of n values is below sigma / sqrt(2 n), 0.0026 sigma
// here; of the mean sigma / sqrt(n), 0.0037 sigma. Four of them.
void expect_spread(const at::Tensor& values, double sigma) {
  EXPECT_NEAR(deviation(values), sigma, 0.0105 * sigma);
  EXPECT_NEAR(values.to(torch::kDouble).mean().item<double>(), 0, 0.015 * sigma);
}

double part_beyond(const at::Tensor& values, double bound) {
  return values.abs().gt(bound).to(torch::kDouble).mean().item<double>();
}

void expect_uniform(const at::Tensor& values, double sigma) {
  expect_spread(values, sigma);
  EXPECT_LE(values.abs().max().item<double>(), std::sqrt(3.0) * sigma * (1 + 1e-6));
  EXPECT_NEAR(part_beyond(values, 0.9 * std::sqrt(3.0) * sigma), 0.1, 0.005);
}

void expect_normal(const at::Tensor& values, double sigma) {
  expect_spread(values, sigma);
  EXPECT_NEAR(part_beyond(values, 1.959964 * sigma), 0.05, 0.004);
  EXPECT_NEAR(part_beyond(values, 3 * sigma), 0.0027, 0.001);
}

TEST(Initialisers, HaveTheirVarianceAndShape) {
  auto w = weight();
  xavier_uniform_(w, 1, seeded(1));
  expect_uniform(w, std::sqrt(2 / (kIn + kOut)));
  xavier_normal_(w, 1.5, seeded(2));
  expect_normal(w, 1.5 * std::sqrt(2 / (kIn + kOut)));
  kaiming_uniform_(w, Fan::in, leaky_relu_gain(), seeded(3));
  expect_uniform(w, std::sqrt(2 / kIn));
  kaiming_normal_(w, Fan::out, leaky_relu_gain(0.5), seeded(4));
  expect_normal(w, std::sqrt(2 / 1.25 / kOut));
}

TEST(Initialisers, KeepTheVarianceOfActivationsThroughReluLayers) {
  torch::NoGradGuard no_grad;
  auto x = torch::randn({64, 512});
  const double first = x.square().mean().item<double>();
  for (int layer = 0; layer < 20; ++layer) {
    auto w = torch::empty({512, 512});
    kaiming_normal_(w, Fan::in, leaky_relu_gain(), seeded(layer));
    x = torch::relu(x.matmul(w.t()));
  }
  const double last = x.square().mean().item<double>();  // 1/2 per ReLU, 2 by the gain
  EXPECT_GT(last / first, 0.3);
  EXPECT_LT(last / first, 3.0);
}

TEST(Initialisers, HalfWeightsAreTheRoundedFp32Ones) {
  auto single = weight();
  kaiming_normal_(single, Fan::in, leaky_relu_gain(), seeded(5));
  for (const auto format : {torch::kHalf, torch::kBFloat16}) {
    auto half = torch::empty({128, 64, 3, 3}, format);
    kaiming_normal_(half, Fan::in, leaky_relu_gain(), seeded(5));
    EXPECT_TRUE(half.equal(single.to(format)));
  }
}

TEST(Initialisers, DrawInFp64WhereAsked) {
  auto exact = torch::empty({128, 64, 3, 3}, torch::kDouble);
  kaiming_uniform_(exact, Fan::in, leaky_relu_gain(), seeded(6, Format::fp64));
  EXPECT_FALSE(exact.equal(exact.to(torch::kFloat).to(torch::kDouble)));
  auto rounded = weight();
  kaiming_uniform_(rounded, Fan::in, leaky_relu_gain(), seeded(6, Format::fp64));
  EXPECT_TRUE(rounded.equal(exact.to(torch::kFloat)));
}

TEST(Initialisers, TheMemoryFormatDoesNotMatter) {
  auto plain = weight();
  auto last = weight().contiguous(at::MemoryFormat::ChannelsLast);
  xavier_uniform_(plain, 1, seeded(7));
  xavier_uniform_(last, 1, seeded(7));
  EXPECT_TRUE(plain.equal(last));
  EXPECT_TRUE(last.is_contiguous(at::MemoryFormat::ChannelsLast));
}

TEST(Initialisers, FillParametersThatRequireGradients) {
  auto parameter = torch::zeros({8, 4}, torch::requires_grad());
  const auto version = parameter._version();
  xavier_normal_(parameter, 1, seeded(8));
  EXPECT_TRUE(parameter.requires_grad() && parameter.is_leaf());
  EXPECT_GT(parameter._version(), version);
  EXPECT_GT(parameter.abs().max().item<double>(), 0);
}

TEST(Initialisers, WrongInputIsAnError) {
  EXPECT_ERROR(xavier_uniform_(torch::empty({3})), "a tensor of 1 dimensions; expected at least 2");
  EXPECT_ERROR(uniform_(torch::empty({3}), 1, {Format::bf16, {}}), "bf16; expected fp32 or fp64");
}

TEST(Initialisers, CountFans) {
  EXPECT_EQ(fans(weight()).in, kIn);
  EXPECT_EQ(fans(weight()).out, kOut);
  EXPECT_EQ(fans(torch::empty({5, 7})).in, 7);
}

}  // namespace
}  // namespace halftone::init
