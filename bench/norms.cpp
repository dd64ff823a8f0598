// Batch normalisation with ReLU and with addition and ReLU, and layer normalisation, forward and
// backward: Halftone's kernels, LibTorch's operations for the same and the triad a = b + s * c of
// the same footprint (McCalpin, STREAM), interleaved in one process on random data. Each timed run
// follows an untimed one of its own kind. GB/s count every tensor as often as the algorithm has to
// touch it: x twice forward (statistics, then the result), the gradient and x twice backward.
//   bench_norms [repetitions] [batch]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bench/support.h"
#include "halftone/base/isa.h"
#include "halftone/kernels/layer_norm/layer_norm.h"
#include "halftone/ops/batch_norm_ops.h"
#include "halftone/ops/enable.h"

namespace halftone {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

// One operation: how often it moves `tensor_bytes`, over how many tensors, and both ways to do it.
struct Contest {
  std::string name;
  double tensor_bytes;
  int moved, tensors;
  std::function<void()> own, stock;
};

void compare(const Contest& contest, int repetitions) {
  Triad triad(static_cast<std::int64_t>(contest.tensor_bytes) * contest.tensors);
  const double bytes = contest.tensor_bytes * contest.moved;
  std::vector<double> own, of_triad, of_stock;
  for (int i = 0; i < repetitions; ++i) {
    const auto rates =
        in_turns(i, {[&] { return gigabytes_per_second(bytes, contest.own); },
                     [&] { return gigabytes_per_second(bytes, contest.stock); },
                     [&] { return gigabytes_per_second(triad.bytes(), [&] { triad.run(); }); }});
    own.push_back(rates[0]);
    of_stock.push_back(rates[0] / rates[1]);
    of_triad.push_back(rates[0] / rates[2]);
  }
  const Spread o = spread(own), t = spread(of_triad), s = spread(of_stock);
  std::printf(
      "%-34s %7.2f ms  %5.1f GB/s  of triad %.2f [%.2f, %.2f]  against stock %.2fx [%.2f, %.2f]\n",
      contest.name.c_str(), bytes / o.median / 1e6, o.median, t.median, t.low, t.high, s.median,
      s.low, s.high);
}

void batch_norm(const std::string& name, at::IntArrayRef sizes, at::ScalarType type,
                at::MemoryFormat format, int repetitions) {
  const auto random = [&] { return at::randn(sizes).to(type).contiguous(format); };
  const Tensor x = random(), z = random(), dy = random();
  const std::int64_t c = sizes[1];
  const OptionalTensor weight(at::rand({c})), bias(at::randn({c})), running_mean(at::zeros({c})),
      running_var(at::ones({c})), mean(at::empty({c})), invstd(at::empty({c})), none;
  const Tensor y = at::empty_like(x), dx = at::empty_like(x), dz = at::empty_like(x);
  const Tensor dweight = at::empty({c}), dbias = at::empty({c});
  const auto bytes = static_cast<double>(x.nbytes());
  for (bool add : {false, true}) {
    const std::string form = name + (add ? " BN+add+ReLU " : " BN+ReLU ");
    const auto stock_forward = [&] {
      Tensor out = std::get<0>(
          at::native_batch_norm(x, weight, bias, running_mean, running_var, true, 0.1, 1e-5));
      if (add) out.add_(z);
      out.relu_();
    };
    compare({form + "fwd", bytes, add ? 4 : 3, add ? 3 : 2,
             [&] {
               ops::BatchNormForward call{x,           weight, bias, running_mean,
                                          running_var, true,   0.1,  1e-5};
               call.residual = add ? z : Tensor();
               call.relu = true;
               ops::batch_norm_forward(call, at::kFloat, y, *mean, *invstd);
             },
             stock_forward},
            repetitions);
    const auto stock_backward = [&] {
      const Tensor g = at::threshold_backward(dy, y, 0);
      at::native_batch_norm_backward(g, x, weight, running_mean, running_var, mean, invstd, true,
                                     1e-5, {true, true, true});
    };
    // Without addition the mask comes from x; with it the first pass reads y and writes the
    // residual's gradient, which the second one reads.
    compare(
        {form + "bwd", bytes, add ? 7 : 5, add ? 5 : 3,
         [&] {
           ops::BatchNormBackward call{dy,   x,      weight, running_mean, running_var,
                                       mean, invstd, true,   1e-5};
           call.mask = add ? kernels::BatchNormMask::output : kernels::BatchNormMask::input;
           call.output = y;
           call.bias = *bias;
           ops::batch_norm_backward(call, at::kFloat, {dx, dweight, dbias, add ? dz : Tensor()});
         },
         stock_backward},
        repetitions);
  }
}

void layer_norm(const std::string& name, std::int64_t rows, std::int64_t length,
                at::ScalarType type, int repetitions) {
  const Tensor x = at::randn({rows, length}).to(type), dy = at::randn({rows, length}).to(type);
  const Tensor y = at::empty_like(x), dx = at::empty_like(x);
  const OptionalTensor weight(at::rand({length})), bias(at::randn({length}));
  const Tensor mean = at::empty({rows, 1}), invstd = at::empty({rows, 1});
  const Tensor dweight = at::empty({length}), dbias = at::empty({length});
  const Tensor workspace =
      at::empty({kernels::layer_norm_workspace(rows, length)}, at::TensorOptions(at::kByte));
  const auto format = type == at::kHalf ? HalfFormat::fp16 : HalfFormat::bf16;
  const auto half = [](const Tensor& t) { return static_cast<std::uint16_t*>(t.data_ptr()); };
  const auto bytes = static_cast<double>(x.nbytes());
  const auto fp32 = kernels::Element::fp32;
  compare({name + " LN fwd", bytes, 2, 2,
           [&] {
             kernels::layer_norm_forward({format, rows, length, half(x), half(y), fp32,
                                          weight->data_ptr(), bias->data_ptr(), 1e-5, fp32,
                                          mean.data_ptr(), invstd.data_ptr()});
           },
           [&] { at::native_layer_norm(x, {length}, weight, bias, 1e-5); }},
          repetitions);
  compare({name + " LN bwd", bytes, 3, 3,
           [&] {
             kernels::layer_norm_backward({format, rows, length, half(dy), half(x), half(dx), fp32,
                                           weight->data_ptr(), dweight.data_ptr(), dbias.data_ptr(),
                                           fp32, mean.data_ptr(), invstd.data_ptr(),
                                           workspace.data_ptr()});
           },
           [&] {
             at::native_layer_norm_backward(dy, x, {length}, mean, invstd, weight, bias,
                                            {true, true, true});
           }},
          repetitions);
}

void run(int repetitions, std::int64_t batch) {
  disable();  // stock is stock; our kernels are called by themselves
  std::printf("%s, rung %s, %d threads, %d repetitions: median [quartiles]\n", cpu_name().c_str(),
              isa_name(isa()), at::get_num_threads(), repetitions);
  struct Stage {
    std::int64_t channels, side;
  };
  for (auto type : {at::kBFloat16, at::kHalf}) {
    const std::string half = type == at::kHalf ? "fp16 " : "bf16 ";
    for (const Stage& s : {Stage{64, 112}, Stage{256, 56}, Stage{512, 28}, Stage{2048, 7}}) {
      const std::string shape = std::to_string(s.channels) + "@" + std::to_string(s.side);
      batch_norm(half + "NHWC " + shape, {batch, s.channels, s.side, s.side}, type,
                 at::MemoryFormat::ChannelsLast, repetitions);
    }
    batch_norm(half + "NCHW 256@56", {batch, 256, 56, 56}, type, at::MemoryFormat::Contiguous,
               repetitions);
    layer_norm(half + "1024x768", 1024, 768, type, repetitions);
    layer_norm(half + "8192x1024", 8192, 1024, type, repetitions);
  }
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  const int repetitions = argc > 1 ? std::atoi(argv[1]) : 15;
  const int batch = argc > 2 ? std::atoi(argv[2]) : 16;
  if (repetitions < 1 || batch < 1) {
    std::fprintf(stderr, "usage: bench_norms [repetitions] [batch]\n");
    return 2;
  }
  halftone::run(repetitions, batch);
  return 0;
}
