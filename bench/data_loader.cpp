// Does the loader starve the step? CIFAR-10-sized images with the full augmentation, a simulated
// step of N ms that keeps every core busy, one loader thread. Prints how long next() made the step
// wait, as a share of the step (the bar: below 3 %), and how much the step itself slowed down by
// sharing its cores.
//
//   bench_data_loader [SECONDS per line, 2] [WORKERS, 1]
#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "halftone/data/loader.h"

namespace {

using namespace halftone::data;
using Clock = std::chrono::steady_clock;

double milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

std::shared_ptr<Dataset> noise(int64_t count) {
  at::Tensor images = at::randint(256, {count, 3, 32, 32}, at::kByte);
  return std::make_shared<MemoryDataset>(
      images, std::vector<int64_t>(static_cast<size_t>(count)),
      std::vector<std::string>{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"});
}

Augmentation recipe() {
  Augmentation a;
  a.crop_padding = 4;
  a.padding = Padding::reflect;
  a.horizontal_flip = true;
  a.mean = {0.4914, 0.4822, 0.4465};
  a.standard_deviation = {0.247, 0.2435, 0.2616};
  a.cutout = 8;
  return a;
}

// A step of matrix products, which LibTorch spreads over all cores.
struct Step {
  at::Tensor a = at::rand({384, 384}), b = at::rand({384, 384}), c = at::empty({384, 384});
  int64_t products = 1;

  double run() {
    const auto start = Clock::now();
    for (int64_t i = 0; i < products; ++i) at::mm_out(c, a, b);
    return milliseconds(Clock::now() - start);
  }

  double median() {
    std::vector<double> times;
    for (int i = 0; i < 9; ++i) times.push_back(run());
    std::nth_element(times.begin(), times.begin() + 4, times.end());
    return times[4];
  }

  // Makes the step last about `wanted` ms; returns how long it does.
  double calibrate(double wanted) {
    products = 20;
    median();
    products = std::max<int64_t>(1, static_cast<int64_t>(20 * wanted / median()));
    return median();
  }
};

void measure(const std::shared_ptr<Dataset>& dataset, int64_t batch, double step_ms, int workers,
             double seconds) {
  LoaderOptions options;
  options.batch = batch;
  options.workers = workers;
  options.drop_last = true;
  options.augmentation = recipe();
  Step step;
  const double alone = step.calibrate(step_ms);
  Loader loader(dataset, options);
  int64_t steps = 0, epoch = 0;
  double busy = 0;
  loader.start_epoch(epoch);
  const auto start = Clock::now();
  while (milliseconds(Clock::now() - start) < seconds * 1000) {
    if (!loader.next()) {
      loader.start_epoch(++epoch);
      continue;
    }
    busy += step.run();
    ++steps;
  }
  const double count = static_cast<double>(steps);
  const double wait = loader.wait_seconds() * 1000 / count;
  std::printf("%5lld  %8.1f  %10.1f  %7.3f  %6.2f %%\n", static_cast<long long>(batch), alone,
              busy / count, wait, 100 * wait / (busy / count));
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 2;
  const int workers = argc > 2 ? std::atoi(argv[2]) : 1;
  const auto dataset = noise(10000);

  LoaderOptions options;
  options.workers = 0;
  options.augmentation = recipe();
  Loader alone(dataset, options);
  alone.start_epoch(0);
  while (alone.next()) {
  }
  std::printf("one batch of 128, built by one thread: %.2f ms; %d worker(s), %d step threads\n",
              alone.wait_seconds() * 1000 / static_cast<double>(alone.batches()), workers,
              at::get_num_threads());
  std::printf("batch  step, ms  with loader  wait, ms  share\n");
  for (int64_t batch : {64, 128}) {
    for (double step_ms : {5., 20., 100.}) measure(dataset, batch, step_ms, workers, seconds);
  }
}
