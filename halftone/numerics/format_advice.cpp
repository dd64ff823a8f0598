// What the measured speeds mean for a person who is about to train.
#include <cstdio>

#include "halftone/numerics/format_speed.h"

namespace halftone::numerics {
namespace {

constexpr double kWorthwhile = 1.05;  // below this the noise of the measurement decides

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
  double best_ratio = kWorthwhile;
  for (const auto& speed : speeds) {
    if (!is_half(speed.format)) continue;
    const FormatRatio ratio = ratio_to_fp32(speeds, speed.format);
    const std::string name = format_name(speed.format);
    if (ratio.matmul < 1 && ratio.convolution < 1) {
      result.warnings.push_back(name + " is slower than fp32 on this machine: " + measured(ratio) +
                                " its speed");
    } else if (ratio.matmul < 1 || ratio.convolution < 1) {
      const bool matmul = ratio.matmul < 1;
      result.warnings.push_back(name + " is slower than fp32 on this machine for " +
                                (matmul ? "matrix products" : "convolutions") + ": " +
                                times(matmul ? ratio.matmul : ratio.convolution) + " its speed");
    }
    const double mean = (ratio.matmul + ratio.convolution) / 2;
    if (mean < best_ratio || ratio.matmul < 0.5 || ratio.convolution < 0.5) continue;
    best = &speed;
    best_ratio = mean;
  }
  if (!best) {
    result.advice =
        "train in fp32: no half format is faster here; a half format still saves memory";
    return result;
  }
  const std::string name = format_name(best->format);
  result.advice = "train with --precision " + name + ": against fp32, " +
                  measured(ratio_to_fp32(speeds, best->format)) + " as fast";
  if (best->format == Format::bf16)
    result.advice += "; it has fp32's range and needs no loss scale";
  return result;
}

}  // namespace halftone::numerics
