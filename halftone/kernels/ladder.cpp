#include "halftone/kernels/ladder.h"

namespace halftone::kernels {
namespace {

std::vector<LadderBase*>& registry() {
  static std::vector<LadderBase*> list;
  return list;
}

}  // namespace

LadderBase::LadderBase(const char* operation) : operation_(operation) {
  registry().push_back(this);
}

void LadderBase::log_refusal(Isa rung, const char* reason) const {
  const std::string head = std::string(operation_) + ": " + isa_name(rung);
  log_line("dispatch", reason ? head + " refuses: " + reason : head + " runs");
}

const std::vector<LadderBase*>& ladders() { return registry(); }

}  // namespace halftone::kernels
