// How an operation's file in this folder announces itself to enable().
#pragma once

#include <torch/library.h>

namespace halftone::ops {

// One operation (with its backward and .out forms, where they are switched together).
//   name     as HALFTONE_DISABLE takes it ("mm", "conv2d"); static storage
//   install  calls library.impl() for each of its schemas, at key CPU of namespace aten
struct Override {
  const char* name;
  void (*install)(torch::Library& library);
};

// At namespace scope of the operation's file: `const OverrideRegistration kMm{{"mm", install}};`
struct OverrideRegistration {
  explicit OverrideRegistration(Override override);
};

}  // namespace halftone::ops
