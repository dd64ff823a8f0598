#include "halftone/numerics/kernel_service.h"

#include <algorithm>

#include "halftone/base/isa.h"
#include "halftone/kernels/ladder.h"

namespace halftone::numerics {
namespace {

KernelService service_of(const kernels::LadderBase& ladder) {
  const auto& machine = machine_isas();
  KernelService service{ladder.operation(), isa_name(Isa::ref), {}};
  for (Isa rung : ladder.rungs()) {  // best first
    if (std::find(machine.begin(), machine.end(), rung) == machine.end()) {
      service.refused.push_back(std::string(isa_name(rung)) + ": this machine lacks it");
    } else if (rung > isa()) {
      service.refused.push_back(std::string(isa_name(rung)) + ": HALFTONE_ISA forbids it");
    } else {
      service.rung = isa_name(rung);
      break;
    }
  }
  return service;
}

}  // namespace

std::vector<KernelService> kernel_services() {
  std::vector<KernelService> list;
  for (const kernels::LadderBase* each : kernels::ladders()) list.push_back(service_of(*each));
  std::sort(list.begin(), list.end(),
            [](const auto& a, const auto& b) { return a.kernel < b.kernel; });
  return list;
}

}  // namespace halftone::numerics
