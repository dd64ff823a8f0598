// What a Loader hands to a training step.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace halftone::data {

struct Batch {
  at::Tensor input;              // (N,C,H,W), fp32, channels_last
  at::Tensor target;             // (N), int64
  std::vector<int64_t> indices;  // N places in the data set
};

}  // namespace halftone::data
