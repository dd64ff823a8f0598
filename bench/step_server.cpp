// Halftone's side of bench/resnet18_vs_python.py: one ResNet-18 (CIFAR stem) training step for each
// line on stdin, answered by the milliseconds that it took.
// usage: bench_step_server BATCH THREADS [PRECISION]
#include <ATen/Parallel.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>

#include "bench/resnet18_step.h"

namespace halftone {
namespace {

int serve(std::int64_t batch_size, int threads, const std::string& precision) {
  at::set_num_threads(threads);
  torch::manual_seed(1);
  TrainerOptions options;
  options.handle_signals = false;
  Trainer trainer(resnet18_parts(Policy::preset(precision)), options);
  const data::Batch batch = random_images(batch_size);
  for (std::string line; std::getline(std::cin, line);) {
    const auto start = std::chrono::steady_clock::now();
    trainer.step(batch);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    std::cout << took.count() << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: bench_step_server BATCH THREADS [PRECISION]\n";
    return 2;
  }
  return halftone::serve(std::atoll(argv[1]), std::atoi(argv[2]), argc > 3 ? argv[3] : "fp32");
}
