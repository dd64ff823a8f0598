#include "halftone/numerics/format_speed.h"

#include <chrono>

#include "tests/support/test.h"

namespace halftone::numerics {
namespace {

std::vector<FormatSpeed> speeds(double bf16_matmul, double bf16_conv, double fp16_conv_backward) {
  return {{Format::fp32, {100, 100, 100}},
          {Format::bf16, {bf16_matmul, bf16_conv, bf16_conv}},
          {Format::fp16, {90, 90, fp16_conv_backward}}};
}

TEST(FormatSpeed, EveryCellIsMeasuredInAboutTheTimeGiven) {
  const auto start = std::chrono::steady_clock::now();
  const auto result = measure_formats({.seconds = 0.5});
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  ASSERT_EQ(result.size(), 3u);
  for (const auto& speed : result) {
    for (double gflops : speed.gflops) EXPECT_GT(gflops, 0.0) << format_name(speed.format);
  }
  EXPECT_LT(taken.count(), 30.0);  // a format without hardware does not take its usual minutes
}

TEST(FormatSpeed, ConvolutionRatioWeighsBackwardTwice) {
  const FormatRatio ratio = ratio_to_fp32(
      {{Format::fp32, {100, 100, 100}}, {Format::bf16, {150, 200, 50}}}, Format::bf16);
  EXPECT_DOUBLE_EQ(ratio.matmul, 1.5);
  EXPECT_DOUBLE_EQ(ratio.convolution, 3.0 / 4.5);
}

TEST(FormatAdvice, NamesTheFasterFormatAndWarnsOfTheSlower) {
  const FormatAdvice advice = advise(speeds(180, 170, 1));
  EXPECT_NE(advice.advice.find("--precision bf16"), std::string::npos) << advice.advice;
  ASSERT_EQ(advice.warnings.size(), 1u);
  EXPECT_NE(advice.warnings[0].find("fp16 is slower than fp32 on this machine"), std::string::npos)
      << advice.warnings[0];
}

TEST(FormatAdvice, FormatThatIsFasterForOneKindIsAdvisedForThatKindAlone) {
  const FormatAdvice advice = advise(speeds(240, 66, 1));
  EXPECT_NE(advice.advice.find("--precision bf16 for networks of matrix products (2.40×"),
            std::string::npos)
      << advice.advice;
  ASSERT_EQ(advice.warnings.size(), 2u);
  EXPECT_NE(advice.warnings[0].find("bf16 is slower than fp32 on this machine for convolutions"),
            std::string::npos)
      << advice.warnings[0];
}

TEST(FormatAdvice, WhereNoHalfFormatIsFasterItSaysSo) {
  const FormatAdvice advice = advise(speeds(60, 60, 1));
  EXPECT_NE(advice.advice.find("no half format is faster"), std::string::npos) << advice.advice;
  EXPECT_EQ(advice.warnings.size(), 2u);
}

}  // namespace
}  // namespace halftone::numerics
