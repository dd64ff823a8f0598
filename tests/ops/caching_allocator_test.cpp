#include "halftone/ops/caching_allocator.h"

#include <c10/core/CPUAllocator.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <torch/torch.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "halftone/ops/enable.h"
#include "halftone/ops/memory.h"
#include "tests/support/test.h"

// Where the sanitizers look on, the caching allocator stays out.
#define HALFTONE_NEEDS_CACHING                                             \
  install_caching_allocator();                                             \
  if (!caching_allocator_installed()) GTEST_SKIP() << "under a sanitizer"; \
  const CachingScope scope

namespace halftone::memory {
namespace {

class CachingScope {
 public:
  ~CachingScope() { uninstall_caching_allocator(); }
};

class AllocatorVariable {
 public:
  explicit AllocatorVariable(const char* value) { ::setenv("HALFTONE_ALLOCATOR", value, 1); }
  ~AllocatorVariable() { ::unsetenv("HALFTONE_ALLOCATOR"); }
};

at::Tensor bytes_of(std::int64_t count) { return torch::empty({count}, torch::kByte); }

constexpr std::int64_t kBlock = 3 << 20;

TEST(CachingAllocator, GivesTheSameMemoryAgain) {
  HALFTONE_NEEDS_CACHING;
  const auto before = cache_statistics();
  const void* first = nullptr;
  {
    const auto tensor = bytes_of(kBlock);
    first = tensor.data_ptr();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first) % 64, 0U);
  }
  EXPECT_EQ(bytes_of(kBlock).data_ptr(), first);
  EXPECT_EQ(cache_statistics().reused, before.reused + 1);
}

TEST(CachingAllocator, SmallTensorsAreLibTorchs) {
  HALFTONE_NEEDS_CACHING;
  const auto before = cache_statistics();
  for (std::int64_t count : {0, 1, 100, 16383}) bytes_of(count);
  const auto after = cache_statistics();
  EXPECT_EQ(after.fresh + after.reused, before.fresh + before.reused);
}

TEST(CachingAllocator, TrimEmptiesIt) {
  HALFTONE_NEEDS_CACHING;
  bytes_of(kBlock);
  EXPECT_GE(cache_statistics().cached_bytes, kBlock);
  trim();
  EXPECT_EQ(cache_statistics().cached_bytes, 0);
}

TEST(CachingAllocator, InAndOutBlocksOutliveIt) {
  HALFTONE_NEEDS_CACHING;
  auto of_caching = torch::full({kBlock}, 7, torch::kByte);
  uninstall_caching_allocator();
  EXPECT_FALSE(caching_allocator_installed());
  EXPECT_EQ(c10::GetCPUAllocator(), c10::GetDefaultCPUAllocator());
  auto of_stock = torch::full({kBlock}, 8, torch::kByte);
  EXPECT_TRUE(of_caching.eq(7).all().item<bool>());
  of_caching.reset();
  install_caching_allocator();
  install_caching_allocator();
  EXPECT_TRUE(of_stock.eq(8).all().item<bool>());
  of_stock.reset();
}

// As oneDNN's scratchpads: allocated by one allocator, freed by the one that is set then.
TEST(CachingAllocator, FreesWhatLibTorchAllocatedAndTheReverse) {
  HALFTONE_NEEDS_CACHING;
  for (const std::size_t bytes : {std::size_t{40}, static_cast<std::size_t>(kBlock)}) {
    void* stock = c10::GetDefaultCPUAllocator()->raw_allocate(bytes);
    c10::GetCPUAllocator()->raw_deallocate(stock);
    void* ours = c10::GetCPUAllocator()->raw_allocate(bytes);
    std::memset(ours, 1, bytes);
    c10::GetDefaultCPUAllocator()->raw_deallocate(ours);
  }
}

TEST(CachingAllocator, TheCountingOneCountsOnTop) {
  HALFTONE_NEEDS_CACHING;
  bytes_of(kBlock);  // cached, so not in use
  for (const bool caching_first : {true, false}) {
    if (!caching_first) uninstall_caching_allocator();
    install_counting_allocator();
    if (!caching_first) install_caching_allocator();
    const auto before = current_tensor_bytes();
    reset_peak();
    auto kept = bytes_of(kBlock);
    bytes_of(kBlock);
    EXPECT_GE(peak_tensor_bytes() - before, 2 * kBlock);
    EXPECT_LE(peak_tensor_bytes() - before, 2 * kBlock + kBlock / 4);
    EXPECT_GE(current_tensor_bytes() - before, kBlock);
    kept.reset();
    EXPECT_EQ(current_tensor_bytes(), before);
    uninstall_counting_allocator();
    EXPECT_TRUE(caching_allocator_installed());
  }
}

TEST(CachingAllocator, TensorsCrossThreads) {
  HALFTONE_NEEDS_CACHING;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 60; ++i) {
        auto tensor = torch::full({20000 + 997 * (i % 13)}, t * 100 + i);
        std::thread([&wrong, t, i, moved = std::move(tensor)]() mutable {
          if (!moved.eq(t * 100 + i).all().item<bool>()) ++wrong;
          moved.reset();
        }).join();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(CachingAllocator, ATrainingStepFaultsNoPagesAfterTheFirst) {
  HALFTONE_NEEDS_CACHING;
  torch::nn::Sequential net(torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 32, 3).padding(1)),
                            torch::nn::ReLU(), torch::nn::Flatten(),
                            torch::nn::Linear(32 * 32 * 32, 10));
  const auto x = torch::rand({32, 3, 32, 32});
  const auto step = [&] {
    net->forward(x).square().mean().backward();
    net->zero_grad(/*set_to_none=*/true);
  };
  for (int i = 0; i < 3; ++i) step();
  const auto before = cache_statistics();
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const long faults = usage.ru_minflt;
  for (int i = 0; i < 5; ++i) step();
  ::getrusage(RUSAGE_SELF, &usage);
  EXPECT_EQ(cache_statistics().fresh, before.fresh);
  EXPECT_GT(cache_statistics().reused, before.reused);
  // One activation has 1024 pages; LibTorch's own allocator faults thousands in each step.
  EXPECT_LE(usage.ru_minflt - faults, 500);
}

TEST(CachingAllocator, OutOfMemoryIsLibTorchsError) {
  HALFTONE_NEEDS_CACHING;
  try {
    bytes_of(std::int64_t{1} << 45);
    FAIL() << "32 TiB were given";
  } catch (const c10::Error& error) {
    EXPECT_NE(std::string(error.what()).find("DefaultCPUAllocator"), std::string::npos)
        << error.what();
  }
}

TEST(CachingAllocator, AForkedChildAllocates) {
  HALFTONE_NEEDS_CACHING;
  bytes_of(kBlock);
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) bytes_of(100000);
  });
  for (int i = 0; i < 20; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(10);  // ends a child that waits for ever
      for (int k = 0; k < 10; ++k) std::memset(bytes_of(kBlock).data_ptr(), k, kBlock);
      ::_exit(0);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  stop = true;
  busy.join();
}

TEST(CachingAllocator, TheSystemsIsKeptWhereTheVariableSaysSo) {
  const AllocatorVariable variable("system");
  install_caching_allocator();
  EXPECT_FALSE(caching_allocator_installed());
  enable();
  EXPECT_FALSE(caching_allocator_installed());
  EXPECT_EQ(c10::GetCPUAllocator(), c10::GetDefaultCPUAllocator());
  disable();
}

TEST(CachingAllocator, AnotherValueIsAnError) {
  install_caching_allocator();
  if (!caching_allocator_installed()) GTEST_SKIP() << "under a sanitizer";
  uninstall_caching_allocator();
  const AllocatorVariable variable("jemalloc");
  EXPECT_ERROR(install_caching_allocator(),
               "HALFTONE_ALLOCATOR: \"jemalloc\"; expected \"caching\"");
  EXPECT_ERROR(enable(), "HALFTONE_ALLOCATOR");
  EXPECT_FALSE(enabled());
}

TEST(CachingAllocator, EnableAndDisablePutItInAndOut) {
  enable();
  const bool in = caching_allocator_installed();
  disable();
  EXPECT_FALSE(caching_allocator_installed());
  if (!in) GTEST_SKIP() << "under a sanitizer";
}

}  // namespace
}  // namespace halftone::memory

#undef HALFTONE_NEEDS_CACHING
