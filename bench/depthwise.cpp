// Depthwise convolution forward, backward-data and backward-weights on the shapes of MobileNetV2,
// EfficientNet and ConvNeXt: Halftone, LibTorch's own kernels in the same format, in bf16 and in
// fp32, and the triad of the same footprint, interleaved in one process on N(0,1), in both memory
// formats. Each timed run follows an untimed one of its own kind; a pass of LibTorch's of more than
// 50 ms is timed once. Bytes count the two images once (the weights are small).
//   bench_depthwise [repetitions]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "bench/support.h"
#include "halftone/base/isa.h"
#include "halftone/ops/enable.h"

namespace halftone {
namespace {

using at::Tensor;

struct DepthwiseSetting {
  const char* name;
  std::int64_t batch, channels, size, window, stride, multiplier = 1;
};

constexpr DepthwiseSetting kDepthwiseSettings[] = {
    {"3x3   32@112", 16, 32, 112, 3, 1}, {"3x3/2 96@112", 16, 96, 112, 3, 2},
    {"3x3  144@56", 16, 144, 56, 3, 1},  {"3x3/2 144@56", 16, 144, 56, 3, 2},
    {"3x3  192@28", 16, 192, 28, 3, 1},  {"3x3  384@14", 16, 384, 14, 3, 1},
    {"3x3  960@7", 16, 960, 7, 3, 1},    {"5x5  240@28", 16, 240, 28, 5, 1},
    {"5x5/2 240@28", 16, 240, 28, 5, 2}, {"7x7   96@56", 8, 96, 56, 7, 1},
    {"7x7  384@14", 8, 384, 14, 7, 1},   {"3x3  64@28 x2", 16, 64, 28, 3, 1, 2}};

// The operands of one setting in one format, and its three passes.
struct DepthwiseCase {
  DepthwiseCase(const DepthwiseSetting& s, at::ScalarType type, at::MemoryFormat format)
      : setting(s) {
    x = at::randn({s.batch, s.channels, s.size, s.size}).to(type).contiguous(format);
    w = at::randn({s.channels * s.multiplier, 1, s.window, s.window}).to(type);
    g = at::randn_like(forward());
  }
  Tensor forward() const {
    return at::conv2d(x, w, {}, setting.stride, setting.window / 2, 1, setting.channels);
  }
  void backward(std::array<bool, 3> wanted) const {
    const std::int64_t half = setting.window / 2;
    at::convolution_backward(g, x, w, std::nullopt, {setting.stride, setting.stride}, {half, half},
                             {1, 1}, false, {0, 0}, setting.channels, wanted);
  }
  void run(int pass) const {
    if (pass == 0) forward();
    if (pass == 1) backward({true, false, false});
    if (pass == 2) backward({false, true, false});
  }
  DepthwiseSetting setting;
  Tensor x, w, g;
};

double seconds_of(const std::function<void()>& run) { return 1 / gigabytes_per_second(1e9, run); }

void add_time(std::vector<double>& times, const std::function<void()>& run) {
  times.push_back(times.empty() || times.back() < 0.05 ? seconds_of(run) : times.back());
}

constexpr const char* kPasses[] = {"forward", "backward-data", "backward-weights"};

struct DepthwiseArms {
  const DepthwiseCase &half, &bf16, &fp32;
};

void compare(const std::string& name, const DepthwiseArms& arms, int pass, int repetitions) {
  const std::int64_t bytes = 2 * (arms.half.x.numel() + arms.half.g.numel());
  Triad triad(bytes);
  std::vector<double> own, stock, bf16, fp32, of_stock, of_bf16, of_fp32, of_triad;
  for (int i = 0; i < repetitions; ++i) {
    const auto ours = [&] {
      enable();
      own.push_back(seconds_of([&] { arms.half.run(pass); }));
      disable();
    };
    // In turns: what runs first after the triad finds colder caches.
    if (i % 2 == 0) ours();
    add_time(stock, [&] { arms.half.run(pass); });
    add_time(bf16, [&] { arms.bf16.run(pass); });
    add_time(fp32, [&] { arms.fp32.run(pass); });
    if (i % 2 == 1) ours();
    of_stock.push_back(stock.back() / own.back());
    of_bf16.push_back(bf16.back() / own.back());
    of_fp32.push_back(fp32.back() / own.back());
    of_triad.push_back(seconds_of([&] { triad.run(); }) / own.back());
  }
  const Spread o = spread(own), t = spread(of_triad), s = spread(of_stock), b = spread(of_bf16),
               f = spread(of_fp32);
  std::printf(
      "%-44s %7.3f ms %5.1f GB/s  of triad %.2f  stock %.2fx [%.2f, %.2f]  stock bf16 %.2fx [%.2f, "
      "%.2f]  stock fp32 %.2fx [%.2f, %.2f]\n",
      name.c_str(), o.median * 1e3, static_cast<double>(bytes) / o.median / 1e9, t.median, s.median,
      s.low, s.high, b.median, b.low, b.high, f.median, f.low, f.high);
  std::fflush(stdout);
}

void run(int repetitions) {
  std::printf("%s, rung %s, %d threads, %d repetitions: median [quartiles]\n", cpu_name().c_str(),
              isa_name(isa()), at::get_num_threads(), repetitions);
  disable();
  for (auto format : {at::MemoryFormat::ChannelsLast, at::MemoryFormat::Contiguous}) {
    const bool last = format == at::MemoryFormat::ChannelsLast;
    for (const DepthwiseSetting& s : kDepthwiseSettings) {
      enable();  // the gradients' shapes, at LibTorch's fp16 pace without
      const DepthwiseCase fp16(s, at::kHalf, format), bf16(s, at::kBFloat16, format),
          fp32(s, at::kFloat, format);
      for (int pass = 0; pass < 3; ++pass) {
        const std::string name = std::string(s.name) + " " + kPasses[pass];
        compare(name + " fp16" + (last ? " last" : ""), {fp16, bf16, fp32}, pass, repetitions);
        compare(name + " bf16" + (last ? " last" : ""), {bf16, bf16, fp32}, pass, repetitions);
      }
    }
  }
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  const int repetitions = argc > 1 ? std::atoi(argv[1]) : 15;
  if (repetitions < 1) {
    std::fprintf(stderr, "usage: bench_depthwise [repetitions]\n");
    return 2;
  }
  halftone::run(repetitions);
  return 0;
}
