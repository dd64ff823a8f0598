// at::cross_entropy_loss for half logits on the CPU, computed in fp32 without a copy of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "halftone/base/export.h"

namespace halftone::ops {

// The arguments of at::cross_entropy_loss without its class weights.
struct CrossEntropyCall {
  at::Tensor input;   // (C), (N, C) or (N, C, d...): logits
  at::Tensor target;  // () for (C), else (N, d...), int64: classes in [0, C), or ignore_index
  std::int64_t reduction = 1;  // at::Reduction: 0 none, 1 mean, 2 sum
  std::int64_t ignore_index = -100;
  double label_smoothing = 0;
};

// Whether half_cross_entropy() takes it: fp16 or bf16 on the CPU, every target in range. What is
// not is LibTorch's, its errors too. Reads the targets.
HALFTONE_API bool half_cross_entropy_fits(const CrossEntropyCall& call);

// -> fp32: the losses (target's shape) or their mean or sum. What LibTorch gives for
// input.to(fp32), to fp32's rounding, and for the gradient, in the input's format, too; but rows
// whose target is ignore_index have gradient 0 also where they hold NaN. Kept for backward: input,
// target and two fp32 numbers per target; logits whose classes are not dense in memory (images that
// are not channels_last) are copied in their format, in both passes. Twice differentiable.
// Thread-safe. Same inputs, same bits for any thread count.
HALFTONE_API at::Tensor half_cross_entropy(const CrossEntropyCall& call);

// Whether enable() has put it in place of LibTorch's: HALFTONE_DISABLE=cross_entropy leaves it out.
HALFTONE_API bool half_cross_entropy_enabled();

}  // namespace halftone::ops
