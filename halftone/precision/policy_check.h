// What is wrong with a policy, as data: check() throws it, from_toml() finds its line first.
#pragma once

#include <optional>
#include <string>

#include "halftone/precision/policy.h"

namespace halftone {

struct PolicyProblem {
  std::string key;  // "loss_scale.init", "modules[2].format"
  std::string given, expected;
};

// The first contradiction or value out of range.
std::optional<PolicyProblem> find_problem(const Policy& policy);

}  // namespace halftone
