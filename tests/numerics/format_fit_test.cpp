#include "halftone/numerics/format_fit.h"

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "halftone/base/half.h"
#include "halftone/numerics/range_report.h"
#include "tests/support/test.h"

namespace halftone::numerics {
namespace {

struct Sample {
  std::vector<float> values;
  ExponentHistogram exponents{};
  std::int64_t zeros = 0;
  double amax = 0;
};

// Log-normal: magnitudes over many binades, as gradients have them.
Sample sample(double median_exponent, double spread) {
  std::mt19937 random(7);
  std::normal_distribution<double> exponent(median_exponent, spread);
  Sample result;
  for (int i = 0; i < 20000; ++i) {
    const auto value = static_cast<float>(std::exp2(exponent(random)));
    result.values.push_back(value);
    ++result.exponents[(std::bit_cast<std::uint32_t>(value) >> 23) & 0xff];
    result.amax = std::max<double>(result.amax, value);
  }
  return result;
}

// By rounding every value.
FormatFit rounded_fit(const Sample& sample, HalfFormat format) {
  const float largest = half_to_float(format, format == HalfFormat::fp16 ? 0x7bff : 0x7f7f);
  FormatFit fit;
  double signal = 0, noise = 0;
  for (const float value : sample.values) {
    const float held = half_to_float(format, float_to_half(format, value));
    fit.underflow += held == 0;
    fit.overflow += std::isinf(held);
    const double error = (std::isinf(held) ? largest : held) - static_cast<double>(value);
    signal += static_cast<double>(value) * value;
    noise += error * error;
  }
  const auto count = static_cast<double>(sample.values.size());
  return {fit.underflow / count, 0, fit.overflow / count, 10 * std::log10(signal / noise)};
}

TEST(FormatFit, IsWhatRoundingEveryValueGives) {
  for (const double median : {-30.0, -26.0, -22.0, -12.0, 0.0, 12.0}) {
    const Sample values = sample(median, 2);
    for (const HalfFormat half : {HalfFormat::fp16, HalfFormat::bf16}) {
      const CandidateFormat& format = kCandidateFormats[half == HalfFormat::fp16 ? 0 : 1];
      const FormatFit fit = fit_format(values.exponents, values.zeros, values.amax, format);
      const FormatFit expected = rounded_fit(values, half);
      EXPECT_NEAR(fit.underflow, expected.underflow, 0.01) << median;
      EXPECT_NEAR(fit.overflow, expected.overflow, 0.01) << median;
      // Where nearly all is lost the sum hangs on the few largest values.
      if (expected.sqnr_db > 3) {
        EXPECT_NEAR(fit.sqnr_db, expected.sqnr_db, 1.5) << median;
      }
    }
  }
}

TEST(FormatFit, ScaledFormatsDoNotDependOnTheTensorsSize) {
  for (std::size_t i = 2; i < kCandidateFormats.size(); ++i) {
    const Sample small = sample(-20, 1), large = sample(30, 1);
    const FormatFit a = fit_format(small.exponents, 0, small.amax, kCandidateFormats[i]);
    const FormatFit b = fit_format(large.exponents, 0, large.amax, kCandidateFormats[i]);
    EXPECT_NEAR(a.sqnr_db, b.sqnr_db, 1.0) << kCandidateFormats[i].name;
    EXPECT_EQ(a.overflow, 0.0);
  }
}

// Three mantissa bits: noise of a unit of 2^-3 / sqrt(12) on values around 1.5: 32 dB.
TEST(FormatFit, NarrowerMantissasHaveLowerRatios) {
  const Sample values = sample(0, 1);
  double before = 1000;
  for (const char* name : {"fp16", "bf16", "E4M3", "E5M2"}) {
    for (const CandidateFormat& format : kCandidateFormats) {
      if (format.name != name) continue;
      const double db = fit_format(values.exponents, 0, values.amax, format).sqnr_db;
      EXPECT_LT(db, before) << name;
      if (format.name == "E4M3") {
        EXPECT_NEAR(db, 31.5, 2.0);
      }
      before = db;
    }
  }
}

TEST(FormatFit, EmptyAndZeroTensorsFitAll) {
  ExponentHistogram exponents{};
  exponents[0] = 10;
  for (const CandidateFormat& format : kCandidateFormats) {
    const FormatFit fit = fit_format(exponents, 10, 0, format);
    EXPECT_EQ(fit.underflow, 0.0);
    EXPECT_TRUE(std::isinf(fit.sqnr_db));
  }
  EXPECT_TRUE(std::isinf(headroom_bits(0, kCandidateFormats[0])));
  EXPECT_NEAR(headroom_bits(65504.0 / 4, kCandidateFormats[0]), 2.0, 1e-12);
}

TEST(RangeReport, ReadsBackFromJson) {
  RangeReport report{.step = 7, .loss_scale = 1024, .tensors = {}};
  TensorStatistics tensor;
  tensor.kind = TensorKind::update;
  tensor.name = "fc.weight";
  tensor.format = "fp32";
  tensor.count = 12;
  tensor.zeros = 2;
  tensor.not_finite = 1;
  tensor.amax = 3.5;
  tensor.rms = 0.25;
  tensor.exponents[127] = 9;
  tensor.below_half_ulp = 0.5;
  report.tensors.push_back(tensor);
  const RangeReport read = RangeReport::from_json(Json::parse(report.to_json().dump()));
  EXPECT_EQ(read.to_json().dump(), report.to_json().dump());
  EXPECT_EQ(read.tensors[0].unmoved, -1.0);
  EXPECT_EQ(read.tensors[0].exponents[127], 9);
  Json wrong = report.to_json();
  wrong["tensors"] = Json::parse(R"([{"kind": "weigth"}])");
  EXPECT_ERROR(RangeReport::from_json(wrong), "did you mean \"weight\"");
}

}  // namespace
}  // namespace halftone::numerics
