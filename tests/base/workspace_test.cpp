#include "halftone/base/workspace.h"

#include <cstdint>
#include <cstring>
#include <thread>

#include "halftone/base/trim.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

TEST(Workspace, ASlotKeepsItsBufferAndSlotsAreApart) {
  void* sums = workspace(WorkspaceSlot::sums, 1000);
  void* rows = workspace(WorkspaceSlot::rows, 1000);
  EXPECT_NE(sums, rows);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(sums) % 64, 0u);
  EXPECT_EQ(workspace(WorkspaceSlot::sums, 500), sums);
  std::memset(workspace(WorkspaceSlot::sums, 1 << 20), 1, 1 << 20);
}

TEST(Workspace, ThreadsHaveTheirOwn) {
  void* mine = workspace(WorkspaceSlot::sums, 4096);
  void* theirs = nullptr;
  std::thread([&] { theirs = workspace(WorkspaceSlot::sums, 4096); }).join();
  EXPECT_NE(mine, theirs);
}

TEST(Workspace, WorksOnAfterATrim) {
  std::memset(workspace(WorkspaceSlot::sums, 100), 1, 100);
  trim();
  std::memset(workspace(WorkspaceSlot::sums, 100), 2, 100);
  EXPECT_NE(workspace(WorkspaceSlot::sums, 100), nullptr);
}

// Buffers this large come from the system and go back to it: what they held is gone.
TEST(Workspace, ATrimReachesEachBufferOfAnotherThread) {
  constexpr std::size_t kBytes = std::size_t{64} << 20;
  constexpr unsigned char kMark = 0x5a;
  const auto sums = [] {
    return static_cast<unsigned char*>(workspace(WorkspaceSlot::sums, kBytes));
  };
  const auto rows = [] {
    return static_cast<unsigned char*>(workspace(WorkspaceSlot::rows, kBytes));
  };
  *sums() = *rows() = kMark;
  EXPECT_EQ(*sums(), kMark);
  std::thread(trim_workspaces).join();
  EXPECT_NE(*sums(), kMark);
  EXPECT_NE(*rows(), kMark);
  trim_workspaces();
}

TEST(Workspace, NoMemoryIsNullAndLosesNothing) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer aborts on such a request";
#endif
  EXPECT_EQ(workspace(WorkspaceSlot::layout, std::size_t{1} << 60), nullptr);
  EXPECT_NE(workspace(WorkspaceSlot::layout, 64), nullptr);
}

}  // namespace
}  // namespace halftone
