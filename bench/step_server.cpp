// Halftone's side of bench/resnet18_vs_python.py: one ResNet-18 (CIFAR stem) training step for each
// line on stdin, answered by the milliseconds that it took.
// usage: bench_step_server BATCH THREADS [PRECISION]
#include <ATen/Parallel.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>

#include "halftone/data/batch.h"
#include "halftone/models/network.h"
#include "halftone/optim/sgd.h"
#include "halftone/precision/apply.h"
#include "halftone/train/trainer.h"

namespace halftone {
namespace {

constexpr std::int64_t kSide = 32, kChannels = 3, kClasses = 10;

TrainerParts resnet18(const Policy& policy) {
  TrainerParts parts;
  auto network = models::make_network({.name = "resnet18",
                                       .channels = kChannels,
                                       .height = kSide,
                                       .width = kSide,
                                       .classes = kClasses,
                                       .stem = models::Stem::cifar,
                                       .seed = 1});
  halftone::apply(policy, *network);
  parts.module = network;
  parts.loss = [](const at::Tensor& output, const at::Tensor& target) {
    return at::cross_entropy_loss(output, target);
  };
  parts.optimizer = std::make_shared<optim::SGD>(
      network->parameters(), optim::SGDOptions{.lr = 0.01, .momentum = 0.9, .weight_decay = 5e-4});
  parts.policy = policy;
  return parts;
}

int serve(std::int64_t batch_size, int threads, const std::string& precision) {
  at::set_num_threads(threads);
  torch::manual_seed(1);
  TrainerOptions options;
  options.handle_signals = false;
  Trainer trainer(resnet18(Policy::preset(precision)), options);
  data::Batch batch;
  batch.input =
      at::randn({batch_size, kChannels, kSide, kSide}).contiguous(at::MemoryFormat::ChannelsLast);
  batch.target = at::randint(kClasses, {batch_size}, at::kLong);
  for (std::int64_t i = 0; i < batch_size; ++i) batch.indices.push_back(i);
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
