#include "halftone/base/workspace.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <limits>

#include "halftone/base/trim.h"

namespace halftone {
namespace {

constexpr std::size_t kSlots = 5;
constexpr std::size_t kAlignment = 64;
constexpr std::size_t kLarge = std::size_t{64} << 20;

std::atomic<std::uint64_t> trims{0};
std::atomic<std::size_t> limit{std::numeric_limits<std::size_t>::max()};

struct Buffer {
  void* data = nullptr;
  std::size_t bytes = 0;
  std::uint64_t seen_trims = 0;

  void release() {
    std::free(data);
    data = nullptr;
    bytes = 0;
  }
};

struct ThreadBuffers {
  Buffer slots[kSlots];

  ~ThreadBuffers() { release(); }
  void release() {
    for (Buffer& each : slots) each.release();
  }
};

ThreadBuffers& thread_buffers() {
  thread_local ThreadBuffers buffers;
  return buffers;
}

}  // namespace

void* workspace(WorkspaceSlot slot, std::size_t bytes) {
  static const bool on_request = (on_trim(trim_workspaces), true);
  static_cast<void>(on_request);
  Buffer& buffer = thread_buffers().slots[static_cast<std::size_t>(slot)];
  // Only this slot: the kernel that calls may hold the others.
  const std::uint64_t now = trims.load(std::memory_order_relaxed);
  if (buffer.seen_trims != now) {
    buffer.seen_trims = now;
    buffer.release();
  }
  const bool wasteful = buffer.bytes > kLarge && bytes < buffer.bytes / 4;
  if (buffer.data && buffer.bytes >= bytes && !wasteful) return buffer.data;
  buffer.release();
  if (bytes > limit.load(std::memory_order_relaxed)) return nullptr;
  const std::size_t rounded = (bytes + kAlignment) / kAlignment * kAlignment;
  buffer.data = std::aligned_alloc(kAlignment, rounded);
  buffer.bytes = buffer.data ? rounded : 0;
  return buffer.data;
}

void set_workspace_limit(std::size_t bytes) { limit.store(bytes); }

void trim_workspaces() {
  trims.fetch_add(1);
  thread_buffers().release();
}

}  // namespace halftone
