// The optimizer's two passes over tensors. Also registered with LibTorch as
// halftone::gradient_check, halftone::sgd_update_, halftone::adam_update_ and
// halftone::lamb_update_ (optimizer_schemas.cpp).
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/ops/update_rules.h"

namespace halftone::ops {

struct GradientReading {
  double norm = 0;                     // global L2 norm; NaN where an element is not finite
  std::int64_t first_non_finite = -1;  // index into the list, or -1
  std::int64_t tensors = 0;            // defined ones
};

// Reads every gradient once, writes nothing. Undefined tensors are passed over. Floating-point
// formats, any layout but sparse (throws Error), any device; dense CPU tensors of fp32, fp16 and
// bf16 go through kernels::gradient_check, others through tensor arithmetic. Thread-safe. Same
// inputs, same bits for any thread count.
HALFTONE_API GradientReading read_gradients(const std::vector<at::Tensor>& gradients);

// One parameter's update. weight, gradient: same shape, any of fp32, fp16, bf16 each, or fp64 for
// both. master (kind master), state: the weight's shape, fp32 (fp64 for fp64). compensation (kind
// kahan): the weight's shape and format. Those that the kind or the rule does not use are
// undefined. key: kernels::draw_key, kind stochastic.
struct ParameterUpdate {
  kernels::UpdateRule rule = kernels::UpdateRule::sgd;
  kernels::WeightKind kind = kernels::WeightKind::plain;
  at::Tensor weight, gradient, master, compensation;
  std::array<at::Tensor, 3> state;
  std::uint64_t key = 0;
  Numbers numbers;
};

// L2 norms of a parameter and of LAMB's direction for it.
struct DirectionNorms {
  double weight = 0, direction = 0;
};

// Applies all updates, whatever their rules, in one pass (CPU, each parameter's tensors dense with
// equal strides) or by tensor arithmetic (everything else). A gradient of another layout than its
// weight is copied into the weight's first. Bumps the weights' versions (not for lamb_direction).
// Returns one entry per update, set for lamb_direction. Throws Error for sizes and formats that
// don't fit, before anything is written. Not thread-safe on the same tensors.
HALFTONE_API std::vector<DirectionNorms> update_parameters(
    const std::vector<ParameterUpdate>& updates);

// LAMB's two passes: updates of rule lamb_direction, whose step_size is the learning rate. Where
// adapt[i] is false the trust ratio is 1.
HALFTONE_API void lamb_update(std::vector<ParameterUpdate>& updates,
                              const std::vector<bool>& adapt);

// The update by LibTorch's tensor arithmetic, bit-identical to the kernels where those apply: what
// runs for other devices and layouts, and the reference of the tests.
HALFTONE_API DirectionNorms update_with_tensors(const ParameterUpdate& update);

}  // namespace halftone::ops
