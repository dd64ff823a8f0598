// Autocast: the forward pass computes in the formats that a Policy says.
//
// RAII guards over LibTorch's autocast for CPU and CUDA. They close what its raw calls leave open
// in C++: casts of weights never go stale, a cast made without gradients is never used with them, a
// region may change its format, other threads and recomputation can run under the same state, CPU
// and CUDA cast the same operations (cast_table.h), and leaving by an exception restores all.
// Code that uses LibTorch's own calls instead sees LibTorch's own behaviour.
#pragma once

#include <c10/core/DeviceType.h>
#include <c10/core/ScalarType.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <array>
#include <memory>

#include "halftone/base/export.h"
#include "halftone/precision/policy.h"

namespace halftone {

struct AutocastRegion;

// What a thread's autocast is set to: for new threads and for recomputation (checkpointing). A
// value; it holds no cast weights. Any thread may copy it.
class HALFTONE_API AutocastState {
 public:
  // The calling thread's state.
  static AutocastState capture();

 private:
  friend class AutocastScope;
  friend class AutocastRestore;
  struct Device {
    bool enabled;
    c10::ScalarType format;
  };
  void apply() const;

  std::array<Device, 2> devices_{};  // CPU, CUDA
  bool cache_ = true;
  std::shared_ptr<AutocastRegion> region_;  // null: no guard of ours is active
};

// What the three guards share: saves the thread's state and puts it back.
class HALFTONE_API AutocastScope {
 public:
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 protected:
  explicit AutocastScope(const std::shared_ptr<AutocastRegion>& region);
  ~AutocastScope();

 private:
  AutocastState before_;
  std::shared_ptr<AutocastRegion> region_;
  c10::DebugInfoGuard guard_;
};

// Until it is destroyed, operations of the calling thread on `device` (CPU or CUDA; Error for any
// other) compute as the policy says. A module rule wins over an operation rule, an operation rule
// over the table, both over emulation (EmulationPolicy). Operation rules match the names that
// LibTorch's dispatcher sees: nn::Linear in C++ calls "addmm" or "matmul". A policy that computes
// in fp32 or fp64 and emulates nothing switches autocast off. cache: cast weights are kept until
// the outermost guard ends, or the weight changes. Throws UsageError for an operation rule that
// matches nothing. Guards nest; destroy them on the thread and in the reverse order that they were
// made. Threads: at::launch and backward carry the state along, std::thread and at::parallel_for do
// not (see AutocastState).
class HALFTONE_API Autocast : private AutocastScope {
 public:
  explicit Autocast(const Policy& policy, c10::DeviceType device = c10::kCPU, bool cache = true);
};

// An island without autocast. As in Python, tensors that are half already stay half: cast them.
class HALFTONE_API AutocastDisabled : private AutocastScope {
 public:
  explicit AutocastDisabled(c10::DeviceType device = c10::kCPU);
};

// Until it is destroyed, the calling thread has the captured state, on or off.
class HALFTONE_API AutocastRestore : private AutocastScope {
 public:
  explicit AutocastRestore(const AutocastState& state);
};

// Drops all cast weights, of every thread. Needed only after weights were written behind LibTorch's
// back (through `.data()` or a raw pointer without a version bump) inside a region; optimizers call
// it after a step. Thread-safe.
HALFTONE_API void clear_autocast_cache();

}  // namespace halftone
