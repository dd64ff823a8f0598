// Matrix products (NN, NT, TN) and the three passes of ResNet's convolutions: Halftone in half,
// Halftone with a prepacked right operand, LibTorch in the same format and in fp32, and the rung's
// FMA loop, all in turns in one process, on N(0,1), channels_last. Printed: GFLOP/s, the share of
// the loop's, the ratios with quartiles. "stock" beside a case: Halftone hands it to LibTorch's
// kernel. LibTorch's fp16 convolutions without vectors are timed at a batch of 1 and count per
// image.
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
// an idle machine gives nearly all.
constexpr double kOwnCores = 0.9;

double rate_of(double operations, const std::function<void()>& run) {
  return run ? gigabytes_per_second(operations, run) : 0;
}

std::uint64_t own_runs() {
  std::uint64_t runs = 0;
  for (Isa rung : kernels::product_ladder().rungs()) runs += kernels::product_ladder().runs(rung);
  return runs;
}

void measure_product(const ProductArms& arms, HalfFormat format, int repetitions) {
  const CoreShare cores;
  enable();
  const auto before = own_runs();
  arms.half();
  const bool own = own_runs() != before;
  std::vector<double> half, share, against_stock, against_single, packed;
  for (int i = 0; i < repetitions; ++i) {
    const auto figures =
        in_turns(i, {[&] { return enable(), rate_of(arms.operations, arms.half); },
                     [&] { return enable(), rate_of(arms.operations, arms.packed); },
                     [&] { return disable(), rate_of(arms.stock_operations, arms.stock); },
                     [&] { return disable(), rate_of(arms.operations, arms.single); },
                     [&] { return unit_peak(format); }});
    half.push_back(figures[0]);
    packed.push_back(figures[1] / figures[0]);
    against_stock.push_back(figures[0] / figures[2]);
    against_single.push_back(figures[0] / figures[3]);
    share.push_back(figures[4] > 0 ? figures[0] / figures[4] : 0);
  }
  const Spread h = spread(half), p = spread(share), k = spread(packed), s = spread(against_stock),
               f = spread(against_single);
  const double got = cores.value();
  std::printf(
      "%-38s %s %7.1f GFLOP/s  %.2f of the loop  prepacked %4.2fx  stock %6.2fx [%.2f, %.2f]  "
      "stock "
      "fp32 %.2fx [%.2f, %.2f]  cores %.2f%s\n",
      arms.name.c_str(), own ? "     " : "stock", h.median, p.median, arms.packed ? k.median : 0.0,
      s.median, s.low, s.high, f.median, f.low, f.high, got, got < kOwnCores ? " NOT ALONE" : "");
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
  std::int64_t channels, filters, size, window, stride, batch;
};
constexpr ConvShape kConvs[] = {{64, 64, 56, 3, 1, 16},   {128, 128, 28, 3, 1, 16},
                                {256, 256, 14, 3, 1, 16}, {512, 512, 7, 3, 1, 16},
                                {256, 256, 14, 3, 1, 1},  {512, 512, 7, 3, 1, 1},
                                {256, 64, 56, 1, 1, 16},  {1024, 256, 14, 1, 1, 16}};

struct ConvTensors {
  ConvTensors(const ConvShape& c, std::int64_t batch, at::ScalarType type) {
    const auto last = [&](at::IntArrayRef sizes) {
      return at::randn(sizes).to(type).contiguous(at::MemoryFormat::ChannelsLast);
    };
    x = last({batch, c.channels, c.size, c.size});
    weight = last({c.filters, c.channels, c.window, c.window});
    padding = c.window / 2, stride = c.stride;
    dy = last(forward(weight).sizes());
  }
  Tensor forward(const Tensor& with) const {
    return at::conv2d(x, with, {}, {stride, stride}, {padding, padding});
  }
  void backward(bool data) const {
    at::convolution_backward(dy, x, weight, at::OptionalIntArrayRef(), {stride, stride},
                             {padding, padding}, {1, 1}, false, {0, 0}, 1, {data, !data, false});
  }
  Tensor x, weight, dy;
  std::int64_t padding, stride;
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
  const double operations = 2 * pixels * static_cast<double>(c.channels * c.window * c.window);
  std::function<void()> packed;
  if (pass == ConvPass::forward) {
    const Tensor kept = half.weight.clone();
    ops::keep_packed(kept, kept, ops::WeightUse::convolution);
    packed = [=] { half.forward(kept); };
  }
  const char* names[] = {"fwd", "bwd-data", "bwd-weights"};
  return {std::to_string(c.window) + "x" + std::to_string(c.window) + " " +
              std::to_string(c.channels) + "->" + std::to_string(c.filters) + "@" +
              std::to_string(c.size) + " x" + std::to_string(c.batch) + " " +
              names[static_cast<int>(pass)],
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
