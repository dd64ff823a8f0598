// Whether the policy of the Autocast in force has a rule for a block's operation.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>

namespace halftone::nn {

// True where a module rule matches the weight's name, or an operation rule the operation's, which
// is a row of the cast table. Such a call is LibTorch's operation, cast as the rule says.
bool policy_names(std::string_view operation, const std::optional<at::Tensor>& weight);

}  // namespace halftone::nn
