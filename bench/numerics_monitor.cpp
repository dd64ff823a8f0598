// What NumericsMonitor costs a training step of ResNet-18 (CIFAR stem): plain and sampled steps in
// turn, and what that is at the default of one sample in a hundred steps.
// usage: bench_numerics_monitor [BATCH] [PRECISION] [STEPS]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench/resnet18_step.h"
#include "bench/support.h"
#include "halftone/numerics/numerics_monitor.h"
#include "halftone/ops/enable.h"

namespace halftone {
namespace {

constexpr int kFirstSteps = 2;

double step_ms(Trainer& trainer, const data::Batch& batch) {
  const auto start = std::chrono::steady_clock::now();
  trainer.step(batch);
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

void measure_monitor(std::int64_t batch_size, const std::string& precision, int steps) {
  const Policy policy = Policy::preset(precision);
  TrainerOptions options;
  options.handle_signals = false;
  Trainer plain(resnet18_parts(policy), options);
  options.monitor_every = 1;
  Trainer sampled(resnet18_parts(policy), options);
  const data::Batch batch = random_images(batch_size);
  std::vector<double> without, with;
  for (int i = -kFirstSteps; i < steps; ++i) {
    const double a = step_ms(plain, batch), b = step_ms(sampled, batch);
    if (i < 0) continue;
    without.push_back(a);
    with.push_back(b);
  }
  const Spread step = spread(without), sample = spread(with);
  const auto every = static_cast<double>(numerics::MonitorOptions{}.every);
  std::printf("ResNet-18 (CIFAR stem), batch %lld, %s, %d threads, %zu tensors\n",
              static_cast<long long>(batch_size), precision.c_str(), at::get_num_threads(),
              sampled.last_ranges()->tensors.size());
  std::printf("plain step     %9.2f ms (%.2f to %.2f)\n", step.median, step.low, step.high);
  std::printf("sampled step   %9.2f ms (%.2f to %.2f)\n", sample.median, sample.low, sample.high);
  std::printf("every %.0f steps: %.3f %% of the step (target: 1 %%)\n", every,
              100 * (sample.median / step.median - 1) / every);
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  halftone::enable();
  halftone::measure_monitor(argc > 1 ? std::atoll(argv[1]) : 64, argc > 2 ? argv[2] : "bf16",
                            argc > 3 ? std::atoi(argv[3]) : 15);
  return 0;
}
