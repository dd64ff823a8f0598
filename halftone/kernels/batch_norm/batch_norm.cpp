#include "halftone/kernels/batch_norm/batch_norm.h"

#include "halftone/base/target.h"

namespace halftone::kernels {
namespace {

#if HALFTONE_X86
const Ladder<BatchNormForwardArgs, 3> kBatchNormForward(
    "batch_norm_forward", {{{Isa::avx512, nullptr, avx512::batch_norm_forward},
                            {Isa::avx2, nullptr, avx2::batch_norm_forward},
                            {Isa::ref, nullptr, ref::batch_norm_forward}}});
const Ladder<BatchNormBackwardArgs, 3> kBatchNormBackward(
    "batch_norm_backward", {{{Isa::avx512, nullptr, avx512::batch_norm_backward},
                             {Isa::avx2, nullptr, avx2::batch_norm_backward},
                             {Isa::ref, nullptr, ref::batch_norm_backward}}});
#else
const Ladder<BatchNormForwardArgs, 1> kBatchNormForward(
    "batch_norm_forward", {{{Isa::ref, nullptr, ref::batch_norm_forward}}});
const Ladder<BatchNormBackwardArgs, 1> kBatchNormBackward(
    "batch_norm_backward", {{{Isa::ref, nullptr, ref::batch_norm_backward}}});
#endif

}  // namespace

void batch_norm_forward(const BatchNormForwardArgs& args) { kBatchNormForward(args); }
const LadderBase& batch_norm_forward_ladder() { return kBatchNormForward; }

void batch_norm_backward(const BatchNormBackwardArgs& args) { kBatchNormBackward(args); }
const LadderBase& batch_norm_backward_ladder() { return kBatchNormBackward; }

}  // namespace halftone::kernels
