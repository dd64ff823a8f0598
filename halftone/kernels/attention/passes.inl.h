// Attention's two passes over a rung's units, which the file has included before, as a rung's file
// and the test of the emulated units include them.

#include "halftone/kernels/product/packing.inl.h"

#include "halftone/kernels/vector/math.inl.h"

#include "halftone/kernels/attention/blocks.inl.h"

#include "halftone/kernels/attention/forward.inl.h"

#include "halftone/kernels/attention/backward.inl.h"

// Where a rung has the same unit for both formats.
template <template <HalfFormat> class Unit>
void run_attention_of(const AttentionArgs& args) {
  if (args.format == HalfFormat::fp16) {
    return run_attention<Unit<HalfFormat::fp16>, HalfFormat::fp16>(args);
  }
  run_attention<Unit<HalfFormat::bf16>, HalfFormat::bf16>(args);
}

template <template <HalfFormat> class Unit>
void run_attention_backward_of(const AttentionBackwardArgs& args) {
  if (args.format == HalfFormat::fp16) {
    return run_attention_backward<Unit<HalfFormat::fp16>, HalfFormat::fp16>(args);
  }
  run_attention_backward<Unit<HalfFormat::bf16>, HalfFormat::bf16>(args);
}
