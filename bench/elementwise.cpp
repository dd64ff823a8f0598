// ReLU, its gradient and the residual addition in half: Halftone, LibTorch's own kernels and the
// triad of the same footprint, in turns in one process, on N(0,1), in caches (1 MiB) and from
// memory (64 MiB). Bytes count what is read and what is written.
//   bench_elementwise [repetitions]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "bench/peak_loop.h"
#include "bench/support.h"
#include "halftone/base/isa.h"
#include "halftone/ops/enable.h"

namespace halftone {
namespace {

using at::Tensor;

struct ElementwisePass {
  const char* name;
  int operands, accesses;  // an operand in place is read and written
  std::function<void(const Tensor& x, Tensor& y)> run;
};

const ElementwisePass kElementwisePasses[] = {
    {"relu", 2, 2, [](const Tensor& x, Tensor&) { at::relu(x); }},
    {"relu_", 1, 2, [](const Tensor&, Tensor& y) { at::relu_(y); }},
    {"relu backward", 3, 3, [](const Tensor& x, Tensor& y) { at::threshold_backward(x, y, 0); }},
    {"add", 3, 3, [](const Tensor& x, Tensor& y) { at::add(x, y); }},
    {"add_", 2, 3, [](const Tensor& x, Tensor& y) { y.add_(x); }}};

void measure_elementwise(const ElementwisePass& pass, at::ScalarType type, std::int64_t footprint,
                         int repetitions) {
  const CoreShare cores;
  const Tensor x = at::randn({footprint / 2 / pass.operands}).to(type);
  Tensor y = x.clone();
  Triad triad(footprint);
  // A pass in caches takes microseconds: as many as take a millisecond.
  const auto runs = static_cast<double>(std::max<std::int64_t>(1, (32 << 20) / footprint));
  const auto rate = [&](double bytes, const std::function<void()>& run) {
    return gigabytes_per_second(bytes * runs, [&] {
      for (double i = 0; i < runs; ++i) run();
    });
  };
  const auto bytes = static_cast<double>(2 * pass.accesses * x.numel());
  const auto pass_rate = [&] { return rate(bytes, [&] { pass.run(x, y); }); };
  std::vector<double> rates, of_triad, of_stock;
  for (int i = 0; i < repetitions; ++i) {
    const auto figures =
        in_turns(i, {[&] { return enable(), pass_rate(); }, [&] { return disable(), pass_rate(); },
                     [&] { return rate(triad.bytes(), [&] { triad.run(); }); }});
    rates.push_back(figures[0]);
    of_stock.push_back(figures[0] / figures[1]);
    of_triad.push_back(figures[0] / figures[2]);
  }
  const Spread r = spread(rates), t = spread(of_triad), s = spread(of_stock);
  std::printf(
      "%-14s %s %3lld MiB  %6.1f GB/s  of triad %.2f [%.2f, %.2f]  stock %.2fx [%.2f, %.2f]"
      "  cores %.2f\n",
      pass.name, type == at::kHalf ? "fp16" : "bf16", static_cast<long long>(footprint >> 20),
      r.median, t.median, t.low, t.high, s.median, s.low, s.high, cores.value());
  std::fflush(stdout);
}

void run_elementwise(int repetitions) {
  std::printf("%s, rung %s, %d threads, %d repetitions: medians [quartiles]\n", cpu_name().c_str(),
              isa_name(isa()), at::get_num_threads(), repetitions);
  const at::NoGradGuard no_grad;
  for (const std::int64_t footprint : {std::int64_t{1} << 20, std::int64_t{64} << 20}) {
    for (const auto& pass : kElementwisePasses) {
      for (auto type : {at::kHalf, at::kBFloat16}) {
        measure_elementwise(pass, type, footprint, repetitions);
      }
    }
  }
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  const int repetitions = argc > 1 ? std::atoi(argv[1]) : 15;
  if (repetitions < 1) {
    std::fprintf(stderr, "usage: bench_elementwise [repetitions]\n");
    return 2;
  }
  halftone::run_elementwise(repetitions);
  return 0;
}
