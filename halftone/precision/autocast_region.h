// What an active guard of autocast.h tells the wrappers of cast_kernels.h, thread by thread.
#pragma once

#include <c10/core/DeviceType.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <array>
#include <cstddef>
#include <memory>
#include <optional>

#include "halftone/precision/cast_cache.h"
#include "halftone/precision/cast_plan.h"

namespace halftone {

constexpr std::array<c10::DeviceType, 2> kAutocastDevices = {c10::kCPU, c10::kCUDA};

// The device's place in kAutocastDevices, or nothing.
inline std::optional<std::size_t> autocast_device_index(c10::DeviceType device) {
  if (device == c10::kCPU) return 0;
  if (device == c10::kCUDA) return 1;
  return std::nullopt;
}

// Never changed once it is installed: it is shared with the threads that the state is carried to.
struct AutocastRegion final : c10::DebugInfoBase, std::enable_shared_from_this<AutocastRegion> {
  std::array<std::shared_ptr<const CastPlan>, 2> plans;  // null: off, or LibTorch's own behaviour
  std::shared_ptr<CastCache> casts;                      // null: cast weights are not kept

  // The calling thread's, or null. LibTorch's thread-local state holds it, so that at::launch and
  // backward carry it along.
  static AutocastRegion* current();
  static c10::DebugInfoKind kind();
};

}  // namespace halftone
