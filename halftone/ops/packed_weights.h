// Frozen weights packed once, on request, for the overrides of matrix products and convolutions to
// find by the tensor they are called with.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "halftone/kernels/product/packed.h"

namespace halftone::ops {

struct PackedWeight {
  at::Tensor dense;  // convolutions: the weights in channels_last, which may be a copy
  kernels::PackedOperand packed;
};

// How a weight is used: as the right operand [k, n] of a matrix product, or as the weights
// [filters, channels, h, w] of a convolution without groups.
enum class WeightUse { matrix, convolution };

// Packs `operand`, `owner` itself or a view of it (weight.t()), and keeps the pack. It is used
// while
//   - owner lives, has the memory it had, and requires no gradient;
//   - the version that LibTorch counts is the one that was packed: after a write in place the next
//     call packs anew. Writes that LibTorch doesn't count (through .data) are not seen.
// False, and nothing is kept, where no kernel would read it: another format than fp16 or bf16, an
// empty tensor, one that requires a gradient, the reference rung, convolutions that are LibTorch's.
// std::bad_alloc where there is no memory. Thread-safe.
bool keep_packed(const at::Tensor& owner, const at::Tensor& operand, WeightUse use);

// Forgets what was packed of a tensor. Thread-safe.
void forget_packed(const at::Tensor& owner);

// What was packed of such a tensor, or null. Without any pack a load and a branch. Thread-safe.
std::shared_ptr<const PackedWeight> find_packed(const at::Tensor& operand, WeightUse use);

}  // namespace halftone::ops
