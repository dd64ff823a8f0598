// What every state machine (scaler, optimizer, scheduler, loader, trainer) saves and restores.
#pragma once

#include <ATen/core/Dict.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>

#include <string>

namespace halftone {

// LibTorch's own string-keyed dictionary of tensors, numbers, strings, lists and dictionaries.
// state_dict() returns copies that later steps do not change; load_state_dict() throws Error that
// names the key that is missing, unknown or of another type or shape, and then changes nothing.
using StateDict = c10::Dict<std::string, c10::IValue>;

// An empty one. (Dict<string, IValue> has no default constructor: its value type must be named.)
// A StateDict is a handle, as a Python dict is: copies share the contents.
inline StateDict make_state_dict() {
  return c10::impl::toTypedDict<std::string, c10::IValue>(
      c10::impl::GenericDict(c10::StringType::get(), c10::AnyType::get()));
}

}  // namespace halftone
