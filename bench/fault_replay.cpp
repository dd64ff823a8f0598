// What fault attribution costs a training step of ResNet-18 (CIFAR stem): while nothing is wrong
// (batches, generator and buffers are kept for a replay), and the replay itself. Steps with and
// without, taken in turn; what is kept is also timed by itself, as the noise of a step is larger.
// usage: bench_fault_replay [BATCH] [PRECISION] [STEPS]
#include <torch/torch.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

#include "bench/resnet18_step.h"
#include "bench/support.h"
#include "halftone/numerics/fault_report.h"
#include "halftone/ops/enable.h"
#include "halftone/train/step_replay.h"
#include "halftone/train/trainer.h"

namespace halftone {
namespace {

constexpr int kReplays = 3, kWarmUp = 2, kKeeps = 200;

double milliseconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

// overflow: while true the gradients are infinite and the loss is not.
TrainerParts overflowing_parts(const Policy& policy, const bool& overflow) {
  TrainerParts parts = resnet18_parts(policy);
  parts.loss = [&overflow](const at::Tensor& output, const at::Tensor& target) {
    const at::Tensor loss = at::cross_entropy_loss(output, target);
    return overflow ? loss + 1e38 * (output - output.detach()).sum() : loss;
  };
  return parts;
}

Trainer make_trainer(const TrainerParts& parts, ExplainOverflow explain) {
  TrainerOptions options;
  options.handle_signals = false;
  options.explain_overflow = explain;
  return Trainer(parts, options);
}

void measure(std::int64_t batch_size, const std::string& precision, int steps) {
  bool overflow = false;
  const Policy policy = Policy::preset(precision);
  const TrainerParts plain_parts = overflowing_parts(policy, overflow);
  const TrainerParts watched_parts = overflowing_parts(policy, overflow);
  Trainer plain = make_trainer(plain_parts, ExplainOverflow::never);
  Trainer watched = make_trainer(watched_parts, ExplainOverflow::always);
  const data::Batch batch = random_images(batch_size);

  std::vector<double> without, with, keep, replays;
  for (int i = -kWarmUp; i < steps; ++i) {
    const double a = milliseconds([&] { plain.step(batch); });
    const double b = milliseconds([&] { watched.step(batch); });
    if (i < 0) continue;
    without.push_back(a);
    with.push_back(b);
  }
  StepReplay replay(watched_parts, c10::kCPU);
  for (int i = 0; i < kKeeps; ++i) {
    keep.push_back(milliseconds([&] {
      replay.begin_step();
      replay.add(batch, 1);
      replay.end_step();
    }));
  }
  overflow = true;
  for (int i = 0; i < kReplays; ++i) {
    watched.step(batch);
    replays.push_back(watched.last_fault()->replay_ms);
  }
  const Spread step = spread(without), kept = spread(keep), whole = spread(replays);
  std::printf("ResNet-18 (CIFAR stem), batch %lld, %s, %d threads\n",
              static_cast<long long>(batch_size), precision.c_str(), at::get_num_threads());
  std::printf("step, nothing kept   %9.2f ms (%.2f to %.2f)\n", step.median, step.low, step.high);
  std::printf("step, ready          %9.2f ms, %+.2f %%\n", spread(with).median,
              100 * (spread(with).median / step.median - 1));
  std::printf("what is kept         %9.4f ms, %.4f %% of the step (target: 0.5 %%)\n", kept.median,
              100 * kept.median / step.median);
  std::printf("replay               %9.2f ms, %.2f steps (target: 20)\n", whole.median,
              whole.median / step.median);
  std::printf("%s\n", watched.last_fault()->text().c_str());
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  halftone::enable();
  halftone::measure(argc > 1 ? std::atoll(argv[1]) : 64, argc > 2 ? argv[2] : "bf16",
                    argc > 3 ? std::atoi(argv[3]) : 15);
  return 0;
}
