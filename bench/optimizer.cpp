// The optimizer's two passes over half parameters against the triad a = b + s * c (McCalpin,
// STREAM) of the same footprint on the same threads: 25.6M of them (ResNet-50's count, whose 51 MB
// of gradients lie partly in a large L3 cache) and 110M (BERT-base's: memory). The passes and their
// triads are interleaved, so that the machine's noise falls on all; data are random. Each timed run
// follows an untimed one of its own kind, so that both find in the cache what their own footprint
// leaves there: timed after the other's, a pass would be cold and its triad half warm. All lie in
// memory of the caching allocator (huge pages), as in training. The read pass also takes its bytes
// from one tensor, as the triad does: of a network's tensors those below 2 MB, and the ends of the
// others, lie in small pages.
//   bench_optimizer [repetitions] [million parameters]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "bench/support.h"
#include "halftone/base/isa.h"
#include "halftone/base/parallel.h"
#include "halftone/kernels/optimizer/rounding.h"
#include "halftone/ops/caching_allocator.h"
#include "halftone/ops/optimizer_ops.h"

namespace halftone {
namespace {

using ops::ParameterUpdate;

// Reads `bytes` and does next to nothing with them: what a pass that only reads can reach at most.
class PlainRead {
 public:
  explicit PlainRead(std::int64_t bytes) : words_(at::randint(1 << 20, {bytes / 8}, at::kLong)) {}

  void run() {
    using Vector [[gnu::vector_size(32), gnu::aligned(8), gnu::may_alias]] = std::int64_t;
    constexpr std::int64_t kAhead = 2048;  // 16 KB, as the read pass
    const std::int64_t* words = words_.const_data_ptr<std::int64_t>();
    parallel_for(0, words_.numel() / 16, 4096, [=, this](std::int64_t begin, std::int64_t end) {
      Vector sums[4] = {};
      for (std::int64_t i = 16 * begin; i < 16 * end; i += 16) {
        for (int k : {0, 8}) __builtin_prefetch(words + i + kAhead + k);
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) sums[k] ^= *reinterpret_cast<const Vector*>(words + i + 4 * k);
      }
      const Vector sum = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
      if (begin == 0) checksum_ = sum[0];
    });
  }
  double bytes() const { return 8.0 * static_cast<double>(words_.numel()); }

 private:
  at::Tensor words_;
  volatile std::int64_t checksum_ = 0;
};

// A pass, and its triad before and after it.
void compare(const std::string& name, double bytes, std::int64_t footprint, int repetitions,
             const std::function<void()>& pass) {
  Triad triad(footprint);
  const auto run_triad = [&] { return gigabytes_per_second(triad.bytes(), [&] { triad.run(); }); };
  std::vector<double> passes, triads, ratios;
  for (int i = 0; i < repetitions; ++i) {
    const double before = run_triad();
    const double own = gigabytes_per_second(bytes, pass);
    const double after = run_triad();
    passes.push_back(own);
    triads.push_back((before + after) / 2);
    ratios.push_back(own / triads.back());
  }
  const Spread p = spread(passes), t = spread(triads), r = spread(ratios);
  std::printf(
      "%-22s %7.1f ms  %6.1f GB/s [%.1f, %.1f]  triad %6.1f [%.1f, %.1f]  "
      "ratio %.2f [%.2f, %.2f]\n",
      name.c_str(), bytes / p.median / 1e6, p.median, p.low, p.high, t.median, t.low, t.high,
      r.median, r.low, r.high);
}

// As a network's parameters lie: tensors of up to 2.36M elements and many small ones.
std::vector<ParameterUpdate> parameters(std::int64_t count, c10::ScalarType type,
                                        kernels::WeightKind kind) {
  constexpr std::int64_t kSizes[] = {2359296, 1048576, 512, 65536, 2048, 589824, 64, 147456};
  std::vector<ParameterUpdate> list;
  for (std::size_t i = 0; count > 0; ++i) {
    const std::int64_t size = std::min(count, kSizes[i % 8]);
    count -= size;
    ParameterUpdate u;
    u.rule = kernels::UpdateRule::adam;
    u.kind = kind;
    const at::Tensor weight = at::randn({size}).mul_(0.05);
    u.weight = weight.to(type);
    u.gradient = at::randn({size}).mul_(1e-2).to(type);
    if (kind == kernels::WeightKind::master) u.master = weight;
    if (kind == kernels::WeightKind::kahan) u.compensation = at::zeros({size}, type);
    u.state = {at::zeros({size}), at::zeros({size}), at::Tensor()};
    u.key = kernels::draw_key(1, i, 1);
    u.numbers = ops::adam_numbers(1e-3, 0.9, 0.999, 1e-8, 1e-2, true, 10);
    list.push_back(u);
  }
  return list;
}

// The read pass, and the update pass of fp32 masters.
void run_masters(int repetitions, std::int64_t count, at::ScalarType type) {
  const auto n = static_cast<double>(count);
  const std::string name = type == at::kHalf ? "fp16" : "bf16";
  const auto updates = parameters(count, type, kernels::WeightKind::master);
  std::vector<at::Tensor> gradients;
  for (const auto& each : updates) gradients.push_back(each.gradient);
  PlainRead plain(2 * count);
  compare("plain read", plain.bytes(), 2 * count, repetitions, [&] { plain.run(); });
  const std::vector<at::Tensor> flat = {at::randn({count}).mul_(1e-2).to(type)};
  compare("read " + name + ", one tensor", 2 * n, 2 * count, repetitions,
          [&] { ops::read_gradients(flat); });
  compare("read " + name, 2 * n, 2 * count, repetitions, [&] { ops::read_gradients(gradients); });
  compare("AdamW " + name + " master", 28 * n, 16 * count, repetitions,
          [&] { ops::update_parameters(updates); });
}

void run(int repetitions, std::int64_t count) {
  std::printf("%s, rung %s, %d threads, %.1fM parameters, %d repetitions: median [quartiles]\n",
              cpu_name().c_str(), isa_name(isa()), at::get_num_threads(),
              static_cast<double>(count) / 1e6, repetitions);
  const auto n = static_cast<double>(count);
  for (auto type : {at::kBFloat16, at::kHalf}) run_masters(repetitions, count, type);
  // gradient 2, weight 4, moments 16; Kahan's term 4 more.
  const auto stochastic = parameters(count, at::kBFloat16, kernels::WeightKind::stochastic);
  compare("AdamW bf16 stochastic", 22 * n, 12 * count, repetitions,
          [&] { ops::update_parameters(stochastic); });
  const auto kahan = parameters(count, at::kBFloat16, kernels::WeightKind::kahan);
  compare("AdamW bf16 kahan", 26 * n, 14 * count, repetitions,
          [&] { ops::update_parameters(kahan); });
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  const int repetitions = argc > 1 ? std::atoi(argv[1]) : 31;
  std::vector<double> counts = {25.6, 110};
  if (argc > 2) counts = {std::atof(argv[2])};
  if (repetitions < 1 || !(counts[0] > 0)) {
    std::fprintf(stderr, "usage: bench_optimizer [repetitions] [million parameters]\n");
    return 2;
  }
  halftone::memory::install_caching_allocator();
  for (double millions : counts) {
    halftone::run(repetitions, static_cast<std::int64_t>(millions * 1e6));
  }
  return 0;
}
