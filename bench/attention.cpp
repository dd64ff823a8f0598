// Scaled-dot-product attention forward and backward: Halftone's kernel, LibTorch's own in the same
// half format and LibTorch's in fp32, interleaved in one process on N(0,1), in the layout that a
// projection's views have. Products alone are counted (2 forward, 5 backward, of which a causal
// mask leaves half); their peak is what Halftone's product kernel does with the same format, at
// 1024^3. Each timed run follows an untimed one of its own kind; a pass of LibTorch's of more than
// 0.3 s is timed once.
//   bench_attention [repetitions]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>
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

struct AttentionSetting {
  const char* name;
  std::int64_t batch, heads, rows, width;
  bool causal;

  double products() const {
    const auto scores = static_cast<double>(batch * heads * rows * rows);
    return 2 * scores * static_cast<double>(width) * (causal ? 0.5 : 1);
  }
};

constexpr AttentionSetting kSettings[] = {{"BERT 8x12x128x64", 8, 12, 128, 64, false},
                                          {"ViT 16x12x197x64", 16, 12, 197, 64, false},
                                          {"GPT 1x12x1024x64 causal", 1, 12, 1024, 64, true},
                                          {"long 1x8x4096x64", 1, 8, 4096, 64, false}};

double seconds_of(const std::function<void()>& run) { return 1 / gigabytes_per_second(1e9, run); }

void add_time(std::vector<double>& times, const std::function<void()>& run) {
  times.push_back(times.empty() || times.back() < 0.3 ? seconds_of(run) : times.back());
}

// Halftone's, LibTorch's and LibTorch's fp32 times of one pass.
void compare(const std::string& name, double operations, double peak, int repetitions,
             const std::function<void()>& half, const std::function<void()>& single) {
  std::vector<double> own, stock, fp32, of_stock, of_fp32;
  for (int i = 0; i < repetitions; ++i) {
    enable();
    own.push_back(seconds_of(half));
    disable();
    add_time(stock, half);
    add_time(fp32, single);
    of_stock.push_back(stock.back() / own.back());
    of_fp32.push_back(fp32.back() / own.back());
  }
  const Spread o = spread(own), s = spread(of_stock), f = spread(of_fp32);
  const double rate = operations / o.median / 1e9;
  std::printf(
      "%-42s %8.3f ms  %6.1f GFLOP/s  %.2f of the product's  against stock %.2fx [%.2f, %.2f]  "
      "stock fp32 %.2fx [%.2f, %.2f]\n",
      name.c_str(), o.median * 1e3, rate, rate / peak, s.median, s.low, s.high, f.median, f.low,
      f.high);
  std::fflush(stdout);
}

double product_peak(at::ScalarType type, int repetitions) {
  const Tensor a = at::randn({1024, 1024}).to(type), b = at::randn({1024, 1024}).to(type);
  enable();
  std::vector<double> rates;
  for (int i = 0; i < repetitions; ++i) {
    rates.push_back(2.0 * 1024 * 1024 * 1024 / seconds_of([&] { at::mm(a, b); }) / 1e9);
  }
  return spread(rates).median;
}

struct AttentionTensors {
  AttentionTensors(const AttentionSetting& s, at::ScalarType type) {
    const auto make = [&] {
      return at::randn({s.batch, s.rows, s.heads, s.width}).to(type).transpose(1, 2);
    };
    query = make(), key = make(), value = make(), grad = make();
    causal = s.causal;
    std::tie(output, log_sum) = forward();
  }
  std::tuple<Tensor, Tensor> forward() const {
    return at::_scaled_dot_product_flash_attention_for_cpu(query, key, value, 0, causal);
  }
  void backward() const {
    at::_scaled_dot_product_flash_attention_for_cpu_backward(grad, query, key, value, output,
                                                             log_sum, 0, causal);
  }
  Tensor query, key, value, grad, output, log_sum;
  bool causal;
};

void run(int repetitions) {
  std::printf("%s, rung %s, %d threads, %d repetitions: median [quartiles]\n", cpu_name().c_str(),
              isa_name(isa()), at::get_num_threads(), repetitions);
  for (auto type : {at::kHalf, at::kBFloat16}) {
    const std::string format = type == at::kHalf ? " fp16" : " bf16";
    const double peak = product_peak(type, repetitions);
    std::printf("product%s: %.1f GFLOP/s\n", format.c_str(), peak);
    for (const AttentionSetting& s : kSettings) {
      // A pass of some 0.1 s and more is repeated less often.
      const int count = s.products() > 1e10 ? std::max(1, repetitions / 4) : repetitions;
      const AttentionTensors half(s, type), single(s, at::kFloat);
      compare(
          std::string(s.name) + format, 2 * s.products(), peak, count, [&] { half.forward(); },
          [&] { single.forward(); });
      compare(
          std::string(s.name) + format + " backward", 5 * s.products(), peak, count,
          [&] { half.backward(); }, [&] { single.backward(); });
    }
  }
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  const int repetitions = argc > 1 ? std::atoi(argv[1]) : 15;
  if (repetitions < 1) {
    std::fprintf(stderr, "usage: bench_attention [repetitions]\n");
    return 2;
  }
  halftone::run(repetitions);
  return 0;
}
