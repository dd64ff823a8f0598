// torch.optim's layout of an optimizer's state, as Python's optimizer.state_dict() has it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "halftone/ops/state_dict.h"
#include "halftone/optim/group_options.h"
#include "halftone/optim/slot.h"

namespace halftone::optim::torch_layout {

struct Group {
  StateDict options = make_state_dict();
  std::vector<std::int64_t> parameters;  // their keys in `slots`
};

struct State {
  std::vector<Group> groups;
  std::map<std::int64_t, StateDict> slots;
};

// Any dictionary with string keys; throws Error for others.
StateDict string_dict(const c10::IValue& value, const std::string& where);

// Takes a state apart; throws Error "<where>.<key>: …" for what is missing or of another type.
State read(const c10::IValue& value, const std::string& where);

// One parameter's entry. optimizer: "SGD" has no step there.
StateDict slot_state(const std::string& optimizer, const Slot& slot,
                     const std::vector<std::string>& names);

// The entry read back. given: null where the parameter has none. `now` keeps its master.
Slot read_slot(const Slot& now, const std::vector<std::string>& names, const StateDict* given,
               const std::string& where);

// A group's entry in param_groups, with all keys that Python's optimizer has.
StateDict group_state(const std::string& optimizer, const GroupOptionsBase& options,
                      const c10::impl::GenericList& parameters);

// Sets those of the group's options that the entry has.
void read_group(const StateDict& given, GroupOptionsBase& options, const std::string& where);

}  // namespace halftone::optim::torch_layout
