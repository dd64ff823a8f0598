#include "halftone/numerics/machine.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/cuda.h>
#include <torch/version.h>

#include <cstdlib>

#include "halftone/base/isa.h"
#include "halftone/version.h"

namespace halftone::numerics {

Machine this_machine() {
  Machine machine;
  machine.halftone_version = HALFTONE_VERSION;
  machine.libtorch_version = TORCH_VERSION;
  machine.cpu = cpu_name();
  const CpuFeatures& has = cpu_features();
  const std::pair<const char*, bool> features[] = {
      {"avx2", has.avx2},
      {"avx512", has.avx512},
      {"avx512_bf16", has.avx512_bf16},
      {"avx512_fp16", has.avx512_fp16},
      {"amx_bf16", has.amx_bf16},
      {"amx_fp16", has.amx_fp16},
  };
  for (const auto& [name, present] : features) {
    (present ? machine.features : machine.missing_features).push_back(name);
  }
  machine.rung = isa_name(isa());
  for (Isa each : machine_isas()) machine.rungs.push_back(isa_name(each));
  machine.libtorch_capability = at::get_cpu_capability();
  machine.threads = at::get_num_threads();
  machine.onednn = at::hasMKLDNN();
  machine.cuda_devices =
      torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
  if (getloadavg(&machine.load, 1) != 1) machine.load = 0;
  return machine;
}

}  // namespace halftone::numerics
