// Quantise-dequantise and quantise to codes against a copy of the same footprint, interleaved in
// one process on random data, on the rung in force (HALFTONE_ISA forces another). Bytes count each
// tensor once.
//   bench_quantize [repetitions]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "bench/support.h"
#include "halftone/base/isa.h"
#include "halftone/kernels/optimizer/rounding.h"
#include "halftone/kernels/quantize/quantize.h"

namespace halftone {
namespace {

using namespace kernels;

// Two arrays that together take `bytes`, read and written as a kernel reads and writes.
class Copy {
 public:
  explicit Copy(std::int64_t bytes) : from_(at::rand({bytes / 8})), to_(at::zeros({bytes / 8})) {}

  void run() {
    using Vector [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;
    const float* from = from_.const_data_ptr<float>();
    float* to = to_.mutable_data_ptr<float>();
    parallel_for(0, from_.numel() / 8, 4096, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = 8 * begin; i < 8 * end; i += 8) {
        *reinterpret_cast<Vector*>(to + i) = *reinterpret_cast<const Vector*>(from + i);
      }
    });
  }
  double bytes() const { return 8.0 * static_cast<double>(from_.numel()); }

 private:
  at::Tensor from_, to_;
};

void compare(const std::string& name, std::int64_t bytes, int repetitions,
             const std::function<void()>& pass) {
  Copy copy(bytes);
  std::vector<double> own, share;
  for (int i = 0; i < repetitions; ++i) {
    own.push_back(gigabytes_per_second(static_cast<double>(bytes), pass));
    share.push_back(own.back() / gigabytes_per_second(copy.bytes(), [&] { copy.run(); }));
  }
  const Spread o = spread(own), s = spread(share);
  std::printf("%-46s %7.2f ms  %5.1f GB/s  of copy %.2f [%.2f, %.2f]\n", name.c_str(),
              static_cast<double>(bytes) / o.median / 1e6, o.median, s.median, s.low, s.high);
  std::fflush(stdout);
}

struct Named {
  const char* name;
  NumberFormat format;
};

void run_size(std::int64_t rows, std::int64_t columns, int repetitions) {
  const std::int64_t n = rows * columns;
  const std::string size = " " + std::to_string(n >> 10) + "K";
  const at::Tensor x = at::randn({n});
  const at::Tensor in_bf16 = x.to(at::kBFloat16), in_fp16 = x.to(at::kHalf);
  at::Tensor y = at::empty({n});
  const float unit = 0.01f;
  for (const Named& each : {Named{"e4m3fn", kE4M3Fn}, {"e5m2", kE5M2}, {"int8", fixed_point(8)}}) {
    QuantizeArgs args{
        each.format, Rounding::nearest_even, Overflow::saturate, Element::fp32,       n, &unit, 1,
        1,           draw_key(1, 2, 3),      x.const_data_ptr(), y.mutable_data_ptr()};
    const std::string name = each.name + size;
    compare(name + " fp32", 8 * n, repetitions, [&] { quantize_dequantize(args); });
    args.rounding = Rounding::stochastic;
    compare(name + " fp32 stochastic", 8 * n, repetitions, [&] { quantize_dequantize(args); });
    args.rounding = Rounding::nearest_even;
    compare(name + " fp32 to codes", 5 * n, repetitions, [&] { quantize(args); });
    args.element = Element::bf16;
    args.input = in_bf16.const_data_ptr();
    compare(name + " bf16", 4 * n, repetitions, [&] { quantize_dequantize(args); });
    args.element = Element::fp16;
    args.input = in_fp16.const_data_ptr();
    compare(name + " fp16", 4 * n, repetitions, [&] { quantize_dequantize(args); });
  }
  for (const Named& each : {Named{"mxfp8-e4m3", kE4M3Fn}, {"mxfp4-e2m1", kE2M1Fn}}) {
    const BlockQuantizeArgs args{
        each.format, Rounding::nearest_even, Element::fp32,        rows,   columns,
        0,           x.const_data_ptr(),     y.mutable_data_ptr(), nullptr};
    compare(each.name + size + " fp32", 8 * n, repetitions,
            [&] { quantize_dequantize_blocks(args); });
  }
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  const int repetitions = argc > 1 ? std::atoi(argv[1]) : 15;
  if (repetitions < 1) {
    std::fprintf(stderr, "usage: bench_quantize [repetitions]\n");
    return 2;
  }
  std::printf("%s, rung %s, %d threads, %d repetitions: median [quartiles]\n",
              halftone::cpu_name().c_str(), halftone::isa_name(halftone::isa()),
              at::get_num_threads(), repetitions);
  halftone::run_size(4096, 4096, repetitions);
  halftone::run_size(512, 1024, repetitions);
  return 0;
}
