// What is wrong with a policy, as data: check() throws it, from_toml() finds its line first. And
// how rules match.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "halftone/precision/policy.h"

namespace halftone {

struct CastRow;

struct PolicyProblem {
  std::string key;  // "loss_scale.init", "modules[2].format"
  std::string given, expected;
};

// The first contradiction or value out of range.
std::optional<PolicyProblem> find_problem(const Policy& policy);

// The format of gradients under these weights and this compute format.
Format gradient_format(const Policy& policy);

// The glob matches the row's operation, with its overload or without.
bool names_row(std::string_view glob, const CastRow& row);

// The glob matches the name or one of its beginnings that end before a dot.
bool covers(std::string_view glob, std::string_view name);

}  // namespace halftone
