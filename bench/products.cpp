// Matrix products (NN, NT, TN) and the three passes of ResNet's and ResNeXt's convolutions:
// Halftone in half, Halftone with a prepacked right operand, LibTorch in the same format and in
// fp32, and the rung's loop over registers, all in turns in one process, on N(0,1), channels_last.
// Halftone is out, and its allocator too, while LibTorch is timed. Printed: GFLOP/s, the share of
// the loop's and the ratios of LibTorch's times to Halftone's, medians with quartiles. "stock"
// beside a case: Halftone hands it to LibTorch's kernel, in its format or in fp32. LibTorch's fp16
// convolutions without vectors are timed at a batch of 1 and count per image.
//   bench_products [repetitions [name]]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "bench/peak_loop.h"
#include "bench/support.h"
#include "halftone/kernels/product/product.h"
#include "halftone/nn/prepack.h"
#include "halftone/ops/enable.h"
#include "halftone/ops/packed_weights.h"

namespace halftone {
namespace {

using at::Tensor;

struct ProductArms {
  std::string name;
  double operations;
  std::function<void()> half, packed, stock, single;  // empty: none
  double stock_operations;
};

// The part of the cores' time without which figures mean nothing: threads that wait spin, so that
// an idle machine gives nearly all; but less, too, where LibTorch's kernel has one thread (fp16).
constexpr double kOwnCores = 0.9;

// A pass of LibTorch's that takes longer (seconds) is timed once.
constexpr double kSlow = 0.05;

double rate_of(double operations, const std::function<void()>& run) {
  return run ? gigabytes_per_second(operations, run) : 0;
}

std::uint64_t own_runs() {
  std::uint64_t runs = 0;
  for (Isa rung : kernels::product_ladder().rungs()) runs += kernels::product_ladder().runs(rung);
  return runs;
}

std::string with_quartiles(const std::vector<double>& values, const char* unit) {
  const Spread s = spread(values);
  if (s.median <= 0) return "-";
  char text[64];
  std::snprintf(text, sizeof text, "%.2f%s [%.2f, %.2f]", s.median, unit, s.low, s.high);
  return text;
}

bool runs_own_kernel(const ProductArms& arms) {
  enable();
  const auto before = own_runs();
  arms.half();
  return own_runs() != before;
}

void measure_product(const ProductArms& arms, HalfFormat format, int repetitions) {
  const CoreShare cores;
  const bool own = runs_own_kernel(arms);
  std::vector<double> half, of_loop, packed_of_loop, against_stock, against_single;
  double slow_stock = 0;
  const auto stock_rate = [&] {
    if (slow_stock > 0) return slow_stock;
    disable();
    const double rate = rate_of(arms.stock_operations, arms.stock);
    if (arms.stock_operations / (rate * 1e9) > kSlow) slow_stock = rate;
    return rate;
  };
  for (int i = 0; i < repetitions; ++i) {
    const auto figures =
        in_turns(i, {[&] { return enable(), rate_of(arms.operations, arms.half); },
                     [&] { return enable(), rate_of(arms.operations, arms.packed); }, stock_rate,
                     [&] { return disable(), rate_of(arms.operations, arms.single); },
                     [&] { return unit_peak(format); }});
    const double loop = figures[4];
    half.push_back(figures[0]);
    of_loop.push_back(loop > 0 ? figures[0] / loop : 0);
    packed_of_loop.push_back(loop > 0 ? figures[1] / loop : 0);
    against_stock.push_back(figures[0] / figures[2]);
    against_single.push_back(figures[0] / figures[3]);
  }
  const double got = cores.value();
  std::printf(
      "%-39s %-5s %7.1f GFLOP/s  of the loop %-17s  prepacked %-17s  stock %-22s  stock fp32 %-20s"
      "  cores %.2f%s\n",
      arms.name.c_str(), own ? "" : "stock", spread(half).median,
      with_quartiles(of_loop, "").c_str(), with_quartiles(packed_of_loop, "").c_str(),
      with_quartiles(against_stock, "x").c_str(), with_quartiles(against_single, "x").c_str(), got,
      got < kOwnCores ? " NOT ALONE" : "");
  std::fflush(stdout);
}

struct GemmShape {
  std::int64_t m, n, k;
};
constexpr GemmShape kGemms[] = {
    {1024, 1024, 1024}, {1024, 3072, 768}, {1024, 768, 3072}, {16, 3072, 768}, {1, 3072, 768}};

ProductArms gemm_arms(const GemmShape& g, at::ScalarType type, bool a_turned, bool b_turned) {
  const auto matrix = [&](std::int64_t rows, std::int64_t columns, bool turned) {
    return turned ? at::randn({columns, rows}).to(type).t() : at::randn({rows, columns}).to(type);
  };
  const Tensor a = matrix(g.m, g.k, a_turned), b = matrix(g.k, g.n, b_turned);
  const Tensor right = b.clone();  // of its strides; `b` itself has no pack
  ops::keep_packed(right, right, ops::WeightUse::matrix);
  const Tensor wide_a = a.to(at::kFloat), wide_b = b.to(at::kFloat);
  const double operations = 2.0 * static_cast<double>(g.m * g.n * g.k);
  const std::string form = std::string(a_turned ? "T" : "N") + (b_turned ? "T" : "N");
  const auto run = [=] { at::mm(a, b); };
  return {std::to_string(g.m) + "x" + std::to_string(g.n) + "x" + std::to_string(g.k) + " " + form,
          operations,
          run,
          [=] { at::mm(a, right); },
          run,
          [=] { at::mm(wide_a, wide_b); },
          operations};
}

struct ConvShape {
  std::int64_t channels, filters, size, window, stride, batch, groups = 1;
};
constexpr ConvShape kConvs[] = {
    {3, 64, 32, 3, 1, 64},        {64, 64, 56, 3, 1, 16},      {128, 128, 28, 3, 1, 16},
    {256, 256, 14, 3, 1, 16},     {512, 512, 7, 3, 1, 16},     {256, 256, 14, 3, 1, 1},
    {512, 512, 7, 3, 1, 1},       {256, 64, 56, 1, 1, 16},     {1024, 256, 14, 1, 1, 16},
    {128, 128, 56, 3, 1, 8, 32},  {256, 256, 28, 3, 1, 8, 32}, {512, 512, 14, 3, 1, 8, 32},
    {1024, 1024, 7, 3, 1, 8, 32}, {128, 128, 28, 3, 1, 8, 2}};

struct ConvTensors {
  ConvTensors(const ConvShape& c, std::int64_t batch, at::ScalarType type) {
    const auto last = [&](at::IntArrayRef sizes) {
      return at::randn(sizes).to(type).contiguous(at::MemoryFormat::ChannelsLast);
    };
    x = last({batch, c.channels, c.size, c.size});
    weight = last({c.filters, c.channels / c.groups, c.window, c.window});
    padding = c.window / 2, stride = c.stride, groups = c.groups;
    dy = last(forward(weight).sizes());
  }
  Tensor forward(const Tensor& with) const {
    return at::conv2d(x, with, {}, {stride, stride}, {padding, padding}, 1, groups);
  }
  void backward(bool data) const {
    at::convolution_backward(dy, x, weight, at::OptionalIntArrayRef(), {stride, stride},
                             {padding, padding}, {1, 1}, false, {0, 0}, groups,
                             {data, !data, false});
  }
  Tensor x, weight, dy;
  std::int64_t padding, stride, groups;
};

enum class ConvPass { forward, backward_data, backward_weights };

ProductArms conv_arms(const ConvShape& c, at::ScalarType type, ConvPass pass) {
  enable();
  const ConvTensors half(c, c.batch, type), single(c, c.batch, at::kFloat);
  const std::int64_t stock_batch = type == at::kHalf ? 1 : c.batch;
  const ConvTensors stock(c, stock_batch, type);
  const auto run = [pass](const ConvTensors& tensors) {
    if (pass == ConvPass::forward) return static_cast<void>(tensors.forward(tensors.weight));
    tensors.backward(pass == ConvPass::backward_data);
  };
  const double pixels = static_cast<double>(half.dy.numel());
  const double operations =
      2 * pixels * static_cast<double>(c.channels / c.groups * c.window * c.window);
  std::function<void()> packed;
  if (pass == ConvPass::forward && c.groups == 1) {
    const Tensor kept = half.weight.clone();
    ops::keep_packed(kept, kept, ops::WeightUse::convolution);
    packed = [=] { half.forward(kept); };
  }
  const char* names[] = {"fwd", "bwd-data", "bwd-weights"};
  return {std::to_string(c.window) + "x" + std::to_string(c.window) + " " +
              std::to_string(c.channels) + "->" + std::to_string(c.filters) + "@" +
              std::to_string(c.size) + (c.groups > 1 ? "/" + std::to_string(c.groups) : "") + " x" +
              std::to_string(c.batch) + " " + names[static_cast<int>(pass)],
          operations,
          [=] { run(half); },
          packed,
          [=] { run(stock); },
          [=] { run(single); },
          operations * static_cast<double>(stock_batch) / static_cast<double>(c.batch)};
}

void run_products(int repetitions, const std::string& only) {
  std::printf("%s, rung %s, %d threads, %d repetitions: medians [quartiles]\n", cpu_name().c_str(),
              isa_name(isa()), at::get_num_threads(), repetitions);
  const at::NoGradGuard no_grad;
  for (auto type : {at::kHalf, at::kBFloat16}) {
    const std::string format = type == at::kHalf ? " fp16" : " bf16";
    const HalfFormat half_format = type == at::kHalf ? HalfFormat::fp16 : HalfFormat::bf16;
    std::vector<double> peaks;
    for (int i = 0; i < 5; ++i) peaks.push_back(unit_peak(half_format));
    std::printf("the unit's loop%s: %.1f GFLOP/s\n", format.c_str(), spread(peaks).median);
    const auto measure = [&](ProductArms arms) {
      arms.name += format;
      if (arms.name.find(only) != std::string::npos)
        measure_product(arms, half_format, repetitions);
    };
    for (const GemmShape& shape : kGemms) {
      for (int form = 0; form < 3; ++form) measure(gemm_arms(shape, type, form == 2, form == 1));
    }
    for (const ConvShape& shape : kConvs) {
      for (auto pass : {ConvPass::forward, ConvPass::backward_data, ConvPass::backward_weights}) {
        if (shape.batch == 1 && pass != ConvPass::forward) continue;
        measure(conv_arms(shape, type, pass));
      }
    }
  }
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  const int repetitions = argc > 1 ? std::atoi(argv[1]) : 7;
  if (repetitions < 1) {
    std::fprintf(stderr, "usage: bench_products [repetitions [name]]\n");
    return 2;
  }
  halftone::run_products(repetitions, argc > 2 ? argv[2] : "");
  return 0;
}
