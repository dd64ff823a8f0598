#include "halftone/train/moved_formats.h"

#include "halftone/ops/state_reader.h"

namespace halftone {

Policy with_moved(Policy policy, const MovedFormats& moved) {
  for (const auto& [target, format] : moved) {
    (target.operation ? policy.operations : policy.modules).push_back({target.match, format});
  }
  return policy;
}

void read_targets(const StateDict& state, const std::string& where,
                  const std::function<void(const RuleTarget&, StateReader&)>& read) {
  StateReader all(state, where);
  for (const auto& entry : state) {
    const StateDict one = all.dict(entry.key());
    StateReader reader(one, where + "." + entry.key());
    const RuleTarget target{reader.text("match"), reader.boolean("operation")};
    read(target, reader);
    reader.finish();
  }
}

}  // namespace halftone
