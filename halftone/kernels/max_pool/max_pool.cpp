#include "halftone/kernels/max_pool/max_pool.h"

#include "halftone/base/target.h"

namespace halftone::kernels {
namespace {

#if HALFTONE_X86
const Ladder<MaxPoolArgs, 3> kMaxPool("max_pool", {{{Isa::avx512, nullptr, avx512::max_pool},
                                                    {Isa::avx2, nullptr, avx2::max_pool},
                                                    {Isa::ref, nullptr, ref::max_pool}}});
const Ladder<MaxPoolBackwardArgs, 3> kMaxPoolBackward(
    "max_pool_backward", {{{Isa::avx512, nullptr, avx512::max_pool_backward},
                           {Isa::avx2, nullptr, avx2::max_pool_backward},
                           {Isa::ref, nullptr, ref::max_pool_backward}}});
#else
const Ladder<MaxPoolArgs, 1> kMaxPool("max_pool", {{{Isa::ref, nullptr, ref::max_pool}}});
const Ladder<MaxPoolBackwardArgs, 1> kMaxPoolBackward(
    "max_pool_backward", {{{Isa::ref, nullptr, ref::max_pool_backward}}});
#endif

}  // namespace

void max_pool(const MaxPoolArgs& args) { kMaxPool(args); }
void max_pool_backward(const MaxPoolBackwardArgs& args) { kMaxPoolBackward(args); }

const LadderBase& max_pool_ladder() { return kMaxPool; }
const LadderBase& max_pool_backward_ladder() { return kMaxPoolBackward; }

}  // namespace halftone::kernels
