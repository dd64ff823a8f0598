#include <ATen/Parallel.h>

#include <atomic>
#include <thread>

#include "halftone/base/parallel.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

TEST(Runtime, ParallelForUsesLibTorchsPool) {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  std::atomic<int> chunks{0};
  std::atomic<std::int64_t> covered{0};
  parallel_for(0, 1000, 1, [&](std::int64_t begin, std::int64_t end) {
    ++chunks;
    covered += end - begin;
  });
  at::set_num_threads(before);
  EXPECT_EQ(chunks, 2);  // 1 where OpenMP is missing: at::parallel_for is serial and says nothing
  EXPECT_EQ(covered, 1000);
}

TEST(Runtime, EmptyRangeRunsNothing) {
  parallel_for(5, 5, 1, [](std::int64_t, std::int64_t) { FAIL(); });
}

}  // namespace
}  // namespace halftone
