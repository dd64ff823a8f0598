#include "halftone/kernels/average_pool/average_pool.h"

#include "halftone/base/target.h"

namespace halftone::kernels {
namespace {

#if HALFTONE_X86
const Ladder<AveragePoolArgs, 3> kAveragePool("average_pool",
                                              {{{Isa::avx512, nullptr, avx512::average_pool},
                                                {Isa::avx2, nullptr, avx2::average_pool},
                                                {Isa::ref, nullptr, ref::average_pool}}});
const Ladder<AveragePoolBackwardArgs, 3> kAveragePoolBackward(
    "average_pool_backward", {{{Isa::avx512, nullptr, avx512::average_pool_backward},
                               {Isa::avx2, nullptr, avx2::average_pool_backward},
                               {Isa::ref, nullptr, ref::average_pool_backward}}});
#else
const Ladder<AveragePoolArgs, 1> kAveragePool("average_pool",
                                              {{{Isa::ref, nullptr, ref::average_pool}}});
const Ladder<AveragePoolBackwardArgs, 1> kAveragePoolBackward(
    "average_pool_backward", {{{Isa::ref, nullptr, ref::average_pool_backward}}});
#endif

}  // namespace

void average_pool(const AveragePoolArgs& args) { kAveragePool(args); }
void average_pool_backward(const AveragePoolBackwardArgs& args) { kAveragePoolBackward(args); }

const LadderBase& average_pool_ladder() { return kAveragePool; }
const LadderBase& average_pool_backward_ladder() { return kAveragePoolBackward; }

}  // namespace halftone::kernels
