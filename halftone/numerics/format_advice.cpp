// What the measured speeds mean for a person who is about to train.
#include <algorithm>
#include <cstdio>

#include "halftone/numerics/format_speed.h"

namespace halftone::numerics {
namespace {

const FormatSpeed* find(const std::vector<FormatSpeed>& speeds, Format format) {
  for (const auto& speed : speeds) {
    if (speed.format == format) return &speed;
  }
  return nullptr;
}

double at(const FormatSpeed& speed, Workload workload) {
  return speed.gflops[static_cast<std::size_t>(workload)];
}

// Time of one forward pass and of a backward pass, which has twice its operations.
double convolution_time(const FormatSpeed& speed) {
  return 1 / at(speed, Workload::conv_forward) + 2 / at(speed, Workload::conv_backward);
}

std::string times(double ratio) {
  char text[32];
  std::snprintf(text, sizeof text, ratio < 0.1 ? "%.3f×" : "%.2f×", ratio);
  return text;
}

std::string measured(const FormatRatio& ratio) {
  return "matrix products " + times(ratio.matmul) + ", convolutions " + times(ratio.convolution);
}

void warn_where_slower(Format format, const FormatRatio& ratio,
                       std::vector<std::string>& warnings) {
  if (ratio.matmul >= 1 && ratio.convolution >= 1) return;
  std::string what = ": " + measured(ratio) + " its speed";
  if (ratio.convolution >= 1) what = " for matrix products: " + times(ratio.matmul) + " its speed";
  if (ratio.matmul >= 1) what = " for convolutions: " + times(ratio.convolution) + " its speed";
  warnings.push_back(std::string(format_name(format)) + " is slower than fp32 on this machine" +
                     what);
}

std::string recommend(Format format, const FormatRatio& ratio) {
  const std::string option = "--precision " + std::string(format_name(format));
  if (ratio.matmul < kWorthwhile) {
    return option + " for convolutional networks (" + times(ratio.convolution) +
           " fp32's speed), fp32 for those of matrix products (" + times(ratio.matmul) + ")";
  }
  if (ratio.convolution < kWorthwhile) {
    return option + " for networks of matrix products (" + times(ratio.matmul) +
           " fp32's speed), fp32 for convolutional ones (" + times(ratio.convolution) + ")";
  }
  return "train with " + option + ": " + measured(ratio) + " fp32's speed" +
         (format == Format::bf16 ? "; bf16 has fp32's range and needs no loss scale" : "");
}

}  // namespace

FormatRatio ratio_to_fp32(const std::vector<FormatSpeed>& speeds, Format format) {
  const FormatSpeed* fp32 = find(speeds, Format::fp32);
  const FormatSpeed* half = find(speeds, format);
  if (!fp32 || !half) return {};
  return {at(*half, Workload::matmul) / at(*fp32, Workload::matmul),
          convolution_time(*fp32) / convolution_time(*half)};
}

FormatAdvice advise(const std::vector<FormatSpeed>& speeds) {
  FormatAdvice result;
  const FormatSpeed* best = nullptr;
  double best_mean = 0;
  for (const auto& speed : speeds) {
    if (!is_half(speed.format)) continue;
    const FormatRatio ratio = ratio_to_fp32(speeds, speed.format);
    warn_where_slower(speed.format, ratio, result.warnings);
    const double mean = (ratio.matmul + ratio.convolution) / 2;
    if (std::max(ratio.matmul, ratio.convolution) < kWorthwhile || mean < best_mean) continue;
    best = &speed;
    best_mean = mean;
  }
  result.advice = best ? recommend(best->format, ratio_to_fp32(speeds, best->format))
                       : "train in fp32: no half format is faster here; one still saves memory";
  return result;
}

}  // namespace halftone::numerics
