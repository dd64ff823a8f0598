#include "halftone/kernels/softmax/softmax.h"

#include "halftone/base/target.h"

namespace halftone::kernels {
namespace {

#if HALFTONE_X86
const Ladder<SoftmaxArgs, 3> kSoftmax("softmax", {{{Isa::avx512, nullptr, avx512::softmax},
                                                   {Isa::avx2, nullptr, avx2::softmax},
                                                   {Isa::ref, nullptr, ref::softmax}}});
const Ladder<SoftmaxBackwardArgs, 3> kSoftmaxBackward(
    "softmax_backward", {{{Isa::avx512, nullptr, avx512::softmax_backward},
                          {Isa::avx2, nullptr, avx2::softmax_backward},
                          {Isa::ref, nullptr, ref::softmax_backward}}});
#else
const Ladder<SoftmaxArgs, 1> kSoftmax("softmax", {{{Isa::ref, nullptr, ref::softmax}}});
const Ladder<SoftmaxBackwardArgs, 1> kSoftmaxBackward(
    "softmax_backward", {{{Isa::ref, nullptr, ref::softmax_backward}}});
#endif

}  // namespace

void softmax(const SoftmaxArgs& args) { kSoftmax(args); }
void softmax_backward(const SoftmaxBackwardArgs& args) { kSoftmaxBackward(args); }

const LadderBase& softmax_ladder() { return kSoftmax; }
const LadderBase& softmax_backward_ladder() { return kSoftmaxBackward; }

}  // namespace halftone::kernels
