#include "halftone/kernels/cross_entropy/cross_entropy.h"

#include "halftone/base/target.h"

namespace halftone::kernels {
namespace {

#if HALFTONE_X86
const Ladder<CrossEntropyArgs, 3> kCrossEntropy("cross_entropy",
                                                {{{Isa::avx512, nullptr, avx512::cross_entropy},
                                                  {Isa::avx2, nullptr, avx2::cross_entropy},
                                                  {Isa::ref, nullptr, ref::cross_entropy}}});
const Ladder<CrossEntropyBackwardArgs, 3> kCrossEntropyBackward(
    "cross_entropy_backward", {{{Isa::avx512, nullptr, avx512::cross_entropy_backward},
                                {Isa::avx2, nullptr, avx2::cross_entropy_backward},
                                {Isa::ref, nullptr, ref::cross_entropy_backward}}});
#else
const Ladder<CrossEntropyArgs, 1> kCrossEntropy("cross_entropy",
                                                {{{Isa::ref, nullptr, ref::cross_entropy}}});
const Ladder<CrossEntropyBackwardArgs, 1> kCrossEntropyBackward(
    "cross_entropy_backward", {{{Isa::ref, nullptr, ref::cross_entropy_backward}}});
#endif

}  // namespace

void cross_entropy(const CrossEntropyArgs& args) { kCrossEntropy(args); }
void cross_entropy_backward(const CrossEntropyBackwardArgs& args) { kCrossEntropyBackward(args); }

const LadderBase& cross_entropy_ladder() { return kCrossEntropy; }
const LadderBase& cross_entropy_backward_ladder() { return kCrossEntropyBackward; }

}  // namespace halftone::kernels
