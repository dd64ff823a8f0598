// What this machine does with each number format: measured, not looked up.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/precision/format.h"

namespace halftone::numerics {

// Times as fast: below this the noise of a measurement decides.
constexpr double kWorthwhile = 1.05;

enum class Workload { matmul, conv_forward, conv_backward };
constexpr std::array<Workload, 3> kWorkloads{Workload::matmul, Workload::conv_forward,
                                             Workload::conv_backward};

// "matmul 1024×1024", "conv 3×3 forward", "conv 3×3 backward".
HALFTONE_API const char* workload_name(Workload workload);

struct FormatSpeed {
  Format format = Format::fp32;
  std::array<double, 3>
      gflops{};  // by Workload: 1e9 operations (an addition or a product) a second
};

struct SpeedOptions {
  double seconds = 12;  // for all measurements together; slow cells get a smaller problem
  std::vector<Format> formats{Format::fp32, Format::bf16, Format::fp16};
};

// LibTorch's operations on this CPU with random normal data: a matrix product (1024 × 1024) ×
// (1024 × 1024) and a 3×3 convolution 64 → 64 channels on 28 × 28, channels-last, batch 16, and its
// backward pass (data and weights). Rounds in which every format takes its turn, the median of
// each; the first call of each is thrown away. Not while other threads compute.
HALFTONE_API std::vector<FormatSpeed> measure_formats(const SpeedOptions& options = {});

// Speed of a training step's convolutions (one forward, one backward) relative to fp32; and of the
// matrix product. 1 where there is no fp32 in `speeds`.
struct FormatRatio {
  double matmul = 1, convolution = 1;
};
HALFTONE_API FormatRatio ratio_to_fp32(const std::vector<FormatSpeed>& speeds, Format format);

struct FormatAdvice {
  std::string advice;                 // one sentence
  std::vector<std::string> warnings;  // one for each half format that is slower than fp32
};
HALFTONE_API FormatAdvice advise(const std::vector<FormatSpeed>& speeds);

}  // namespace halftone::numerics
