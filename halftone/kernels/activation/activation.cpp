#include "halftone/kernels/activation/activation.h"

#include "halftone/base/target.h"

namespace halftone::kernels {
namespace {

const Ladder<ActivationArgs, 1> kActivation("activation", {{{Isa::ref, nullptr, ref::activation}}});
#if HALFTONE_X86
const Ladder<ActivationBackwardArgs, 3> kActivationBackward(
    "activation_backward", {{{Isa::avx512, nullptr, avx512::activation_backward},
                             {Isa::avx2, nullptr, avx2::activation_backward},
                             {Isa::ref, nullptr, ref::activation_backward}}});
#else
const Ladder<ActivationBackwardArgs, 1> kActivationBackward(
    "activation_backward", {{{Isa::ref, nullptr, ref::activation_backward}}});
#endif

}  // namespace

void activation(const ActivationArgs& args) { kActivation(args); }
void activation_backward(const ActivationBackwardArgs& args) { kActivationBackward(args); }

const LadderBase& activation_ladder() { return kActivation; }
const LadderBase& activation_backward_ladder() { return kActivationBackward; }

}  // namespace halftone::kernels
