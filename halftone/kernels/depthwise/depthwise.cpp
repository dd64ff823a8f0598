#include "halftone/kernels/depthwise/depthwise.h"

#include "halftone/base/target.h"

namespace halftone::kernels {
namespace {

#if HALFTONE_X86
using DepthwiseLadder = Ladder<Conv2dArgs, 3>;
const DepthwiseLadder kDepthwiseForward("depthwise_forward",
                                        {{{Isa::avx512, nullptr, avx512::depthwise_forward},
                                          {Isa::avx2, nullptr, avx2::depthwise_forward},
                                          {Isa::ref, nullptr, ref::depthwise_forward}}});
const DepthwiseLadder kDepthwiseBackwardData(
    "depthwise_backward_data", {{{Isa::avx512, nullptr, avx512::depthwise_backward_data},
                                 {Isa::avx2, nullptr, avx2::depthwise_backward_data},
                                 {Isa::ref, nullptr, ref::depthwise_backward_data}}});
const DepthwiseLadder kDepthwiseBackwardWeights(
    "depthwise_backward_weights", {{{Isa::avx512, nullptr, avx512::depthwise_backward_weights},
                                    {Isa::avx2, nullptr, avx2::depthwise_backward_weights},
                                    {Isa::ref, nullptr, ref::depthwise_backward_weights}}});
#else
using DepthwiseLadder = Ladder<Conv2dArgs, 1>;
const DepthwiseLadder kDepthwiseForward("depthwise_forward",
                                        {{{Isa::ref, nullptr, ref::depthwise_forward}}});
const DepthwiseLadder kDepthwiseBackwardData("depthwise_backward_data",
                                             {{{Isa::ref, nullptr, ref::depthwise_backward_data}}});
const DepthwiseLadder kDepthwiseBackwardWeights(
    "depthwise_backward_weights", {{{Isa::ref, nullptr, ref::depthwise_backward_weights}}});
#endif

}  // namespace

void depthwise_forward(const Conv2dArgs& args) { kDepthwiseForward(args); }
void depthwise_backward_data(const Conv2dArgs& args) { kDepthwiseBackwardData(args); }
void depthwise_backward_weights(const Conv2dArgs& args) { kDepthwiseBackwardWeights(args); }

const LadderBase& depthwise_forward_ladder() { return kDepthwiseForward; }
const LadderBase& depthwise_backward_data_ladder() { return kDepthwiseBackwardData; }
const LadderBase& depthwise_backward_weights_ladder() { return kDepthwiseBackwardWeights; }

}  // namespace halftone::kernels
