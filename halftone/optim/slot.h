// What a MasterOptimizer keeps for one parameter.
#pragma once

#include <ATen/ATen.h>

#include <array>
#include <cstdint>

#include "halftone/kernels/optimizer/rounding.h"

namespace halftone::optim {

inline bool is_half(c10::ScalarType type) { return type == at::kHalf || type == at::kBFloat16; }

// Uninitialised, in the weight's memory order where that is dense, so that the kernels take both.
inline at::Tensor like(const at::Tensor& weight, c10::ScalarType type) {
  return at::empty_like(weight, weight.options().dtype(type).requires_grad(false),
                        at::MemoryFormat::Preserve);
}

// The format of moments.
inline c10::ScalarType wide_format(const at::Tensor& weight) {
  return weight.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

inline std::int64_t version_of(const at::Tensor& parameter) {
  return parameter.is_inference() ? 0 : static_cast<std::int64_t>(parameter._version());
}

// The weight that both terms of Kahan storage make up, fp32.
inline at::Tensor kahan_sum(const at::Tensor& weight, const at::Tensor& compensation) {
  const double scale = kernels::kahan_scale(
      weight.scalar_type() == at::kHalf ? kernels::Element::fp16 : kernels::Element::bf16);
  return weight.to(at::kFloat) + compensation.to(at::kFloat) * (1 / scale);
}

struct Slot {
  at::Tensor parameter, master, compensation;
  std::array<at::Tensor, 3> state;
  std::int64_t step = 0;      // updates that it has had
  std::int64_t version = -1;  // of the parameter after our last write

  std::array<at::Tensor*, 5> tensors() {
    return {&master, &compensation, &state[0], &state[1], &state[2]};
  }

  kernels::WeightKind kind() const {
    if (master.defined()) return kernels::WeightKind::master;
    if (compensation.defined()) return kernels::WeightKind::kahan;
    return is_half(parameter.scalar_type()) ? kernels::WeightKind::stochastic
                                            : kernels::WeightKind::plain;
  }
};

}  // namespace halftone::optim
