// What every state machine (scaler, optimizer, scheduler, loader, trainer) saves and restores.
#pragma once

#include <ATen/core/Dict.h>
#include <ATen/core/ivalue.h>

#include <string>

namespace halftone {

// LibTorch's own string-keyed dictionary of tensors, numbers, strings, lists and dictionaries.
// state_dict() returns copies that later steps do not change; load_state_dict() throws Error that
// names the key that is missing, unknown or of another type or shape, and then changes nothing.
using StateDict = c10::Dict<std::string, c10::IValue>;

inline StateDict make_state_dict() { return StateDict(); }

}  // namespace halftone
