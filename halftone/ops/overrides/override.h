// How an operation's file in this folder announces itself to enable().
#pragma once

#include <torch/library.h>

namespace halftone::ops {

// One operation (with its backward and .out forms, where they are switched together).
//   name     as HALFTONE_DISABLE takes it ("mm", "conv2d"); static storage
//   install  calls library.impl() for each of its schemas, of namespace aten at the key
struct Override {
  const char* name;
  void (*install)(torch::Library& library);
  c10::DispatchKey key = c10::DispatchKey::CPU;
};

// At namespace scope of the operation's file: `const OverrideRegistration kMm{{"mm", install}};`
struct OverrideRegistration {
  explicit OverrideRegistration(Override override);
};

// Whether enable() has put it in.
bool is_installed(const char* name);

}  // namespace halftone::ops
