// What the tests of the overrides share: Halftone's kernels on for the test, LibTorch's for a call.
#pragma once

#include <ATen/Parallel.h>

#include <cstdint>
#include <string>
#include <vector>

#include "halftone/kernels/ladder.h"
#include "halftone/ops/enable.h"
#include "tests/support/test.h"

namespace halftone {

using IntArrayList = std::vector<std::int64_t>;

// Runs of all rungs.
inline std::uint64_t total_runs(const kernels::LadderBase& ladder) {
  std::uint64_t runs = 0;
  for (Isa rung : ladder.rungs()) runs += ladder.runs(rung);
  return runs;
}

// Enables Halftone's kernels; one thread, as the tensors are tiny. Puts back what was.
class OverrideTest {
 public:
  OverrideTest() : was_enabled_(enabled()), threads_(at::get_num_threads()) {
    at::set_num_threads(1);
    enable();
  }
  ~OverrideTest() {
    if (!was_enabled_) disable();
    at::set_num_threads(threads_);
  }
  OverrideTest(const OverrideTest&) = delete;
  OverrideTest& operator=(const OverrideTest&) = delete;

  // What LibTorch's own kernels give.
  template <class Run>
  auto stock(Run run) const {
    disable();
    auto result = run();
    enable();
    return result;
  }

  // Both fail, with the same first line.
  template <class Run>
  void expect_same_error(Run run) const {
    const std::string own = message(run);
    disable();
    const std::string expected = message(run);
    enable();
    EXPECT_NE(expected, "") << "LibTorch accepts it";
    EXPECT_EQ(own, expected);
  }

 private:
  template <class Run>
  static std::string message(Run run) {
    try {
      run();
    } catch (const std::exception& error) {
      const std::string text = error.what();
      return text.substr(0, text.find('\n'));
    }
    return "";
  }

  bool was_enabled_;
  int threads_;
};

}  // namespace halftone
