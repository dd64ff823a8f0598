// The ladder: an operation's implementations in order, best first, the reference last. The first
// whose rung is in force and which doesn't refuse the case runs.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/base/isa.h"
#include "halftone/base/log.h"

namespace halftone::kernels {

// refuses: null where the case is taken, else one line that says why not. run: the kernel. Args is
// the operation's argument struct.
template <class Args>
struct Implementation {
  Isa rung;
  const char* (*refuses)(const Args&);
  void (*run)(const Args&);
};

// What tests and `halftone doctor` see of an operation.
class HALFTONE_API LadderBase {
 public:
  explicit LadderBase(const char* operation);
  const char* operation() const { return operation_; }

  // How often an implementation of this rung has run in this process.
  std::uint64_t runs(Isa rung) const { return runs_[static_cast<std::size_t>(rung)].load(); }

  // Rungs that have an implementation, best first.
  virtual std::vector<Isa> rungs() const = 0;

 protected:
  ~LadderBase() = default;
  void count(Isa rung) const {
    runs_[static_cast<std::size_t>(rung)].fetch_add(1, std::memory_order_relaxed);
  }
  void log_refusal(Isa rung, const char* reason) const;

 private:
  const char* operation_;
  mutable std::array<std::atomic<std::uint64_t>, 5> runs_{};
};

// All ladders of the process, in order of registration.
HALFTONE_API const std::vector<LadderBase*>& ladders();

// One static object per operation. N implementations, best first (a rung may have several), the
// last one of rung ref and without refusal.
// Thread-safe after construction.
template <class Args, std::size_t N>
class Ladder final : public LadderBase {
 public:
  Ladder(const char* operation, std::array<Implementation<Args>, N> implementations)
      : LadderBase(operation), implementations_(implementations) {}

  void operator()(const Args& args) const {
    const Isa highest = isa();
    const bool verbose = log_enabled("dispatch");
    for (const auto& each : implementations_) {
      if (each.rung > highest) {
        if (verbose) log_refusal(each.rung, "above the rung in force");
        continue;
      }
      const char* reason = each.refuses ? each.refuses(args) : nullptr;
      if (reason) {
        if (verbose) log_refusal(each.rung, reason);
        continue;
      }
      if (verbose) log_refusal(each.rung, nullptr);
      count(each.rung);
      each.run(args);
      return;
    }
  }

  std::vector<Isa> rungs() const override {
    std::vector<Isa> list;
    for (const auto& each : implementations_) {
      if (list.empty() || list.back() != each.rung) list.push_back(each.rung);
    }
    return list;
  }

 private:
  std::array<Implementation<Args>, N> implementations_;
};

}  // namespace halftone::kernels
