// What this process runs on.
#pragma once

#include <string>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::numerics {

struct Machine {
  std::string halftone_version, libtorch_version;
  std::string cpu;
  std::vector<std::string> features;  // that matter to number formats: "avx2", "amx_fp16", …
  std::vector<std::string> missing_features;  // of the same list
  std::string rung;                           // of the kernel ladder, in force
  std::vector<std::string> rungs;             // of this machine
  std::string libtorch_capability;            // "AVX512", …: what LibTorch's own kernels use
  int threads = 1;
  bool onednn = false;
  int cuda_devices = 0;
  double load = 0;  // processes that wanted to run over the last minute, on average

  // Others compute, too: what is measured now is not the machine's own.
  bool busy() const { return load > 1.2 * threads; }
};

// Throws UsageError where HALFTONE_ISA names a rung that is not there.
HALFTONE_API Machine this_machine();

}  // namespace halftone::numerics
