// What a BatchSource hands to a training step.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::data {

// Integers (tokens, classes, offsets) stay integers in every precision; what is floating goes into
// the network under Autocast, or in fp64 where the policy computes in it.
struct HALFTONE_API Batch {
  at::Tensor input{};              // images: (N,C,H,W), fp32, channels_last; tokens: (N,T), int64
  at::Tensor target{};             // classes: (N), int64; undefined where there is none
  std::vector<int64_t> indices{};  // N places in the data set
  // What else a task's batch has, by name. Padding is a mask (true where there is something). What
  // differs in number from example to example (boxes) is packed, (total, …), beside "offsets",
  // (N + 1): example i has rows offsets[i] to offsets[i + 1] - 1.
  std::map<std::string, at::Tensor> extra{};

  // Throws Error that says what there is.
  const at::Tensor& at(const std::string& name) const;
};

}  // namespace halftone::data
