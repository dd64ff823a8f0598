#include "halftone/ops/memory.h"

#include <torch/torch.h>

#include <thread>
#include <vector>

#include "halftone/ops/generator.h"
#include "tests/support/test.h"

namespace halftone::memory {
namespace {

constexpr std::int64_t kMiB = 1 << 20;
constexpr std::int64_t kPages = 2 * 4096;  // what the C library may add to a large block

class Counting {
 public:
  Counting() { install_counting_allocator(); }
  ~Counting() { uninstall_counting_allocator(); }
};

at::Tensor megabytes(std::int64_t count) { return torch::empty({count * kMiB}, torch::kByte); }

void expect_bytes(std::int64_t given, std::int64_t expected) {
  EXPECT_GE(given, expected);
  EXPECT_LE(given, expected + kPages);
}

TEST(Memory, CountsLiveAndPeakBytes) {
  const Counting counting;
  const auto before = current_tensor_bytes();
  reset_peak();
  auto kept = megabytes(4);
  expect_bytes(current_tensor_bytes() - before, 4 * kMiB);
  megabytes(8);  // freed at once
  expect_bytes(current_tensor_bytes() - before, 4 * kMiB);
  expect_bytes(peak_tensor_bytes() - before - kPages, 12 * kMiB - kPages);
  reset_peak();
  EXPECT_EQ(peak_tensor_bytes(), current_tensor_bytes());
  kept.reset();
  EXPECT_EQ(current_tensor_bytes(), before);
}

TEST(Memory, CountsFreesOfOtherThreads) {
  const Counting counting;
  const auto before = current_tensor_bytes();
  auto block = megabytes(2);
  std::thread([moved = std::move(block)]() mutable { moved.reset(); }).join();
  EXPECT_EQ(current_tensor_bytes(), before);
}

TEST(Memory, ManyThreadsAtOnceEndWhereTheyBegan) {
  const Counting counting;
  const auto before = current_tensor_bytes();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      std::vector<at::Tensor> kept;
      for (int i = 0; i < 2000; ++i) {
        kept.push_back(torch::empty({i % 97 + 1}));
        if (kept.size() > 20) kept.erase(kept.begin());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(current_tensor_bytes(), before);
}

TEST(Memory, WhatWasAllocatedBeforeIsNotCounted) {
  auto earlier = megabytes(4);
  const Counting counting;
  const auto before = current_tensor_bytes();
  earlier.reset();
  EXPECT_EQ(current_tensor_bytes(), before);
}

TEST(Memory, WhatOutlivesTheAllocatorIsStillSubtracted) {
  install_counting_allocator();
  const auto before = current_tensor_bytes();
  auto block = megabytes(4);
  uninstall_counting_allocator();
  EXPECT_FALSE(counting_allocator_installed());
  expect_bytes(current_tensor_bytes() - before, 4 * kMiB);
  auto uncounted = megabytes(4);
  expect_bytes(current_tensor_bytes() - before, 4 * kMiB);
  block.reset();
  EXPECT_EQ(current_tensor_bytes(), before);
}

TEST(Memory, InstallingTwiceIsInstallingOnce) {
  install_counting_allocator();
  install_counting_allocator();
  EXPECT_TRUE(counting_allocator_installed());
  uninstall_counting_allocator();
  EXPECT_FALSE(counting_allocator_installed());
  uninstall_counting_allocator();
  EXPECT_FALSE(counting_allocator_installed());
}

TEST(Memory, ATrainingStepLeavesNothingBehind) {
  torch::nn::Sequential net(torch::nn::Conv2d(3, 16, 3), torch::nn::ReLU(), torch::nn::Flatten(),
                            torch::nn::Linear(16 * 14 * 14, 10));
  const auto x = torch::rand({8, 3, 16, 16});
  const auto step = [&] {
    net->forward(x).square().mean().backward();
    net->zero_grad(/*set_to_none=*/true);
  };
  step();  // oneDNN's caches fill
  const Counting counting;
  const auto before = current_tensor_bytes();
  reset_peak();
  step();
  EXPECT_GT(peak_tensor_bytes() - before, 8 * 16 * 14 * 14 * 4);  // one activation at least
  EXPECT_EQ(current_tensor_bytes(), before);
}

TEST(Memory, EmptyAndResizedTensorsWork) {
  const Counting counting;
  const auto before = current_tensor_bytes();
  {
    auto tensor = torch::empty({0});
    EXPECT_EQ(current_tensor_bytes(), before);
    tensor.resize_({kMiB});
    expect_bytes(current_tensor_bytes() - before, 4 * kMiB);
    EXPECT_TRUE(tensor.zero_().clone().equal(tensor));
  }
  EXPECT_EQ(current_tensor_bytes(), before);
}

}  // namespace
}  // namespace halftone::memory

namespace halftone {
namespace {

TEST(Generator, AScopeLeavesItAsItWas) {
  torch::manual_seed(3);
  const auto state = generator_state();
  EXPECT_EQ(state.numel(), 5056);
  {
    const GeneratorKept kept;
    torch::rand({100});
  }
  EXPECT_TRUE(generator_state().equal(state));
  const auto first = torch::rand({5});
  set_generator_state(state);
  EXPECT_TRUE(torch::rand({5}).equal(first));
}

}  // namespace
}  // namespace halftone
