// Runs a check on every rung that an operation and this machine have, proves by the ladder's
// counter that the rung ran, and prints those that the machine lacks.
#pragma once

#include <algorithm>
#include <iostream>

#include "halftone/base/isa.h"
#include "halftone/kernels/ladder.h"
#include "tests/support/test.h"

namespace halftone {

// check: void(Isa). It must run the operation at least once with a case that the rung takes.
template <class Check>
void for_each_rung(const kernels::LadderBase& ladder, Check&& check) {
  const Isa before = isa();
  const auto& machine = machine_isas();
  for (Isa rung : ladder.rungs()) {
    if (std::find(machine.begin(), machine.end(), rung) == machine.end()) {
      std::cout << "  not run: " << ladder.operation() << " on " << isa_name(rung)
                << " (this machine lacks it)\n";
      continue;
    }
    set_isa(rung);
    const auto runs = ladder.runs(rung);
    check(rung);
    EXPECT_GT(ladder.runs(rung), runs)
        << ladder.operation() << ": the forced rung " << isa_name(rung) << " did not run";
  }
  set_isa(before);
}

}  // namespace halftone
