// Pooling, upsampling, activations, softmax, loss, dropout's mask and embedding: Halftone,
// LibTorch's own kernels and the triad a = b + s * c of the same footprint (McCalpin, STREAM),
// interleaved in one process on random data, fp16 and bf16, both memory formats. Each timed run
// follows an untimed one of its own kind. Bytes count every tensor once.
//   bench_pointwise [repetitions]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "bench/support.h"
#include "halftone/base/isa.h"
#include "halftone/ops/enable.h"
#include "halftone/precision/autocast.h"

namespace halftone {
namespace {

using at::Tensor;

void compare(const std::string& name, std::int64_t bytes, int repetitions,
             const std::function<void()>& pass) {
  Triad triad(bytes);
  const auto count = static_cast<double>(bytes);
  std::vector<double> own, of_stock, of_triad;
  for (int i = 0; i < repetitions; ++i) {
    const auto rates =
        in_turns(i, {[&] {
                       enable();
                       return gigabytes_per_second(count, pass);
                     },
                     [&] {
                       disable();
                       return gigabytes_per_second(count, pass);
                     },
                     [&] { return gigabytes_per_second(triad.bytes(), [&] { triad.run(); }); }});
    own.push_back(rates[0]);
    of_stock.push_back(rates[0] / rates[1]);
    of_triad.push_back(rates[0] / rates[2]);
  }
  const Spread o = spread(own), s = spread(of_stock), t = spread(of_triad);
  std::printf(
      "%-44s %8.3f ms  %5.1f GB/s  of triad %.2f [%.2f, %.2f]  against stock %.2fx [%.2f, %.2f]\n",
      name.c_str(), count / o.median / 1e6, o.median, t.median, t.low, t.high, s.median, s.low,
      s.high);
  std::fflush(stdout);
}

struct Setting {
  at::ScalarType type;
  at::MemoryFormat format;
  int repetitions;

  std::string name(const std::string& operation) const {
    return operation + (type == at::kHalf ? " fp16" : " bf16") +
           (format == at::MemoryFormat::ChannelsLast ? " last" : "");
  }
  Tensor random(at::IntArrayRef sizes) const {
    const Tensor values = at::randn(sizes).to(type);
    return values.dim() == 4 ? values.contiguous(format) : values;
  }
};

void max_pool(const Setting& s, at::IntArrayRef sizes, std::int64_t kernel, std::int64_t stride,
              std::int64_t pad, const std::string& shape) {
  const Tensor x = s.random(sizes);
  const auto forward = [&] {
    return at::max_pool2d_with_indices(x, {kernel, kernel}, {stride, stride}, {pad, pad});
  };
  const auto [y, indices] = forward();
  const Tensor g = s.random(y.sizes());
  const std::int64_t bytes = 2 * x.numel() + 10 * y.numel();
  compare(s.name("max_pool2d " + shape), bytes, s.repetitions, [&] { forward(); });
  compare(s.name("max_pool2d backward " + shape), bytes, s.repetitions, [&, at = indices] {
    at::max_pool2d_with_indices_backward(g, x, {kernel, kernel}, {stride, stride}, {pad, pad},
                                         {1, 1}, false, at);
  });
}

void average_pool(const Setting& s, at::IntArrayRef sizes, std::int64_t kernel, std::int64_t stride,
                  std::int64_t pad, const std::string& shape) {
  const Tensor x = s.random(sizes);
  const auto forward = [&] {
    return at::avg_pool2d(x, {kernel, kernel}, {stride, stride}, {pad, pad});
  };
  const Tensor g = s.random(forward().sizes());
  const std::int64_t bytes = 2 * (x.numel() + g.numel());
  compare(s.name("avg_pool2d " + shape), bytes, s.repetitions, [&] { forward(); });
  compare(s.name("avg_pool2d backward " + shape), bytes, s.repetitions, [&] {
    at::avg_pool2d_backward(g, x, {kernel, kernel}, {stride, stride}, {pad, pad}, false, true,
                            std::nullopt);
  });
}

void global_pool(const Setting& s) {
  const Tensor x = s.random({16, 2048, 7, 7}), g = s.random({16, 2048, 1, 1});
  compare(s.name("adaptive_avg_pool2d 2048x7x7 to 1"), 2 * x.numel(), s.repetitions, [&] {
    at::adaptive_avg_pool2d(x, {1, 1});
  });
  compare(s.name("_adaptive_avg_pool2d backward from 1"), 2 * x.numel(), s.repetitions,
          [&] { at::_adaptive_avg_pool2d_backward(g, x); });
  const Tensor wide = s.random({16, 512, 14, 14}), narrow = s.random({16, 512, 7, 7});
  compare(s.name("_adaptive_avg_pool2d 512x14x14 to 7"), 2 * wide.numel() + 2 * narrow.numel(),
          s.repetitions, [&] {
            at::_adaptive_avg_pool2d(wide, {7, 7});
          });
  compare(s.name("_adaptive_avg_pool2d backward from 7"), 2 * wide.numel() + 2 * narrow.numel(),
          s.repetitions, [&] { at::_adaptive_avg_pool2d_backward(narrow, wide); });
}

void activations(const Setting& s) {
  const Tensor x = s.random({1024, 3072}), g = s.random({1024, 3072});
  const std::int64_t n = x.numel();
  for (const std::string form : {"none", "tanh"}) {
    compare(s.name("gelu " + form + " 1024x3072"), 4 * n, s.repetitions,
            [&] { at::gelu(x, form); });
    compare(s.name("gelu backward " + form), 6 * n, s.repetitions,
            [&] { at::gelu_backward(g, x, form); });
  }
  compare(s.name("silu 1024x3072"), 4 * n, s.repetitions, [&] { at::silu(x); });
  compare(s.name("silu backward"), 6 * n, s.repetitions, [&] { at::silu_backward(g, x); });
}

void softmax(const Setting& s, std::int64_t rows, std::int64_t columns) {
  const Tensor x = s.random({rows, columns}), g = s.random({rows, columns});
  const std::string shape = " " + std::to_string(rows) + "x" + std::to_string(columns);
  const std::int64_t n = x.numel();
  const Tensor y = at::softmax(x, 1), log_y = at::log_softmax(x, 1);
  compare(s.name("softmax" + shape), 4 * n, s.repetitions, [&] { at::softmax(x, 1); });
  compare(s.name("softmax backward" + shape), 6 * n, s.repetitions,
          [&] { at::_softmax_backward_data(g, y, 1, s.type); });
  compare(s.name("log_softmax" + shape), 4 * n, s.repetitions, [&] { at::log_softmax(x, 1); });
  compare(s.name("log_softmax backward" + shape), 6 * n, s.repetitions,
          [&] { at::_log_softmax_backward_data(g, log_y, 1, s.type); });
}

// Loss and gradient of half logits under Autocast, which takes LibTorch's loss in fp32.
void cross_entropy(const Setting& s, std::int64_t rows, std::int64_t classes) {
  const Tensor x = s.random({rows, classes}).requires_grad_();
  const Tensor target = at::randint(classes, {rows}, at::kLong);
  const Autocast autocast(Policy::preset(s.type == at::kHalf ? "fp16" : "bf16"));
  compare(s.name("cross_entropy both " + std::to_string(rows) + "x" + std::to_string(classes)),
          6 * x.numel(), s.repetitions, [&] {
            x.mutable_grad().reset();
            at::cross_entropy_loss(x, target).backward();
          });
}

void dropout(const Setting& s) {
  Tensor mask = s.random({1024, 768});
  compare(s.name("bernoulli_ 1024x768"), 2 * mask.numel(), s.repetitions,
          [&] { mask.bernoulli_(0.9); });
  const Tensor x = s.random({8, 12, 128, 128});
  compare(s.name("dropout 8x12x128x128"), 6 * x.numel(), s.repetitions,
          [&] { at::dropout(x, 0.1, true); });
}

void embedding(const Setting& s, std::int64_t words) {
  const Tensor g = s.random({8, 128, 768}), indices = at::randint(0, words, {8, 128}, at::kLong);
  compare(s.name("embedding backward " + std::to_string(words) + "x768"),
          2 * (g.numel() + words * 768), s.repetitions,
          [&] { at::embedding_dense_backward(g, indices, words, -1, false); });
}

void upsample(const Setting& s, at::IntArrayRef sizes, const std::string& shape) {
  const Tensor x = s.random(sizes);
  const std::int64_t h = 2 * sizes[2], w = 2 * sizes[3];
  const Tensor g = s.random({sizes[0], sizes[1], h, w});
  const std::int64_t bytes = 2 * (x.numel() + g.numel());
  for (bool align : {false, true}) {
    const std::string form = (align ? " aligned " : " ") + shape;
    compare(s.name("upsample_bilinear2d" + form), bytes, s.repetitions, [&] {
      at::upsample_bilinear2d(x, {h, w}, align);
    });
    compare(s.name("upsample_bilinear2d backward" + form), bytes, s.repetitions, [&] {
      at::upsample_bilinear2d_backward(g, {h, w}, x.sizes(), align);
    });
  }
}

void run(int repetitions) {
  std::printf("%s, rung %s, %d threads, %d repetitions: median [quartiles]\n", cpu_name().c_str(),
              isa_name(isa()), at::get_num_threads(), repetitions);
  for (auto type : {at::kHalf, at::kBFloat16}) {
    for (auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      const Setting s{type, format, repetitions};
      max_pool(s, {16, 64, 112, 112}, 3, 2, 1, "64x112x112 3/2");
      max_pool(s, {64, 64, 32, 32}, 2, 2, 0, "64x32x32 2/2");
      average_pool(s, {16, 256, 56, 56}, 2, 2, 0, "256x56x56 2/2");
      average_pool(s, {16, 192, 28, 28}, 3, 1, 1, "192x28x28 3/1");
      global_pool(s);
      upsample(s, {8, 128, 28, 28}, "128x28x28 x2");
      upsample(s, {8, 64, 56, 56}, "64x56x56 x2");
    }
    const Setting s{type, at::MemoryFormat::Contiguous, repetitions};
    activations(s);
    for (auto [rows, columns] : {std::pair{12288, 128}, {2048, 1000}, {512, 8192}, {128, 32768}}) {
      softmax(s, rows, columns);
    }
    for (auto [rows, classes] : {std::pair{128, 10}, {4096, 1000}, {4096, 8192}, {1024, 30522}}) {
      cross_entropy(s, rows, classes);
    }
    dropout(s);
    embedding(s, 30522);
    embedding(s, 512);
  }
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  const int repetitions = argc > 1 ? std::atoi(argv[1]) : 31;
  if (repetitions < 1) {
    std::fprintf(stderr, "usage: bench_pointwise [repetitions]\n");
    return 2;
  }
  halftone::run(repetitions);
  return 0;
}
