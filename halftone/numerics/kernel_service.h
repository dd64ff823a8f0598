// Which rung of the kernel ladder serves each of Halftone's kernels in this process.
#pragma once

#include <string>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::numerics {

struct KernelService {
  std::string kernel;
  std::string rung;                  // the best that is in force; a call may still be refused by it
  std::vector<std::string> refused;  // the faster ones: "amx: this machine lacks it"
};

// By name. HALFTONE_LOG=dispatch prints for each call which rung ran and why those above refused.
HALFTONE_API std::vector<KernelService> kernel_services();

}  // namespace halftone::numerics
