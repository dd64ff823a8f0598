// What a Trainer does about operations that overflow (DynamicPolicy).
#include "halftone/precision/cast_table.h"
#include "halftone/train/trainer_impl.h"

namespace halftone {
namespace {

OperationOverflow overflow_of(const numerics::FaultReport& report) {
  const numerics::Fault& fault = report.fault;
  OperationOverflow overflow;
  overflow.step = report.step;
  overflow.backward = fault.backward;
  overflow.loss_scale = report.loss_scale;
  if (fault.kind != numerics::FaultKind::operation || fault.output.format != "fp16")
    return overflow;
  if (!fault.parameter.empty()) {
    overflow.targets.push_back({fault.parameter, /*operation=*/false});
  } else if (is_lowered(fault.forward_operation)) {
    overflow.targets.push_back({fault.forward_operation, /*operation=*/true});
  }
  if (!fault.parameter_before.empty()) {
    overflow.targets.push_back({fault.parameter_before, /*operation=*/false});
  }
  return overflow;
}

}  // namespace

bool Trainer::Impl::adjust_to(const numerics::FaultReport& report) {
  if (!dynamic) return false;
  const OperationOverflow overflow = overflow_of(report);
  if (!dynamic->can_help(overflow)) return false;
  if (auto change = dynamic->overflowed(overflow)) {
    switches.push_back(std::move(*change));
    follow_moves();
  }
  return true;
}

void Trainer::Impl::try_again() {
  if (!dynamic) return;
  const auto changes = dynamic->stepped(steps);
  if (changes.empty()) return;
  switches.insert(switches.end(), changes.begin(), changes.end());
  follow_moves();
}

}  // namespace halftone
