// The operations that compute in another format than their policy says, while a network trains.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "halftone/base/export.h"
#include "halftone/ops/state_dict.h"
#include "halftone/precision/policy.h"

namespace halftone {

class StateReader;

// What a rule of the policy can name.
struct RuleTarget {
  std::string match;
  bool operation = false;  // a rule of Policy::operations, else of Policy::modules
  auto operator<=>(const RuleTarget&) const = default;
};

// What computes in another format than its policy says.
using MovedFormats = std::map<RuleTarget, Format>;

// `policy` with a rule for each.
HALFTONE_API Policy with_moved(Policy policy, const MovedFormats& moved);

// A record for each target: StateDict and back. write: adds to the target's own entries what
// `read` takes. read throws Error for what is missing; so does read_targets() for what is left.
template <class Record, class Write>
StateDict write_targets(const std::map<RuleTarget, Record>& records, Write write) {
  StateDict state = make_state_dict();
  for (const auto& [target, record] : records) {
    StateDict one = make_state_dict();
    one.insert("match", target.match);
    one.insert("operation", target.operation);
    write(one, record);
    state.insert((target.operation ? "operation " : "module ") + target.match, one);
  }
  return state;
}
HALFTONE_API void read_targets(const StateDict& state, const std::string& where,
                               const std::function<void(const RuleTarget&, StateReader&)>& read);

}  // namespace halftone
