#include "halftone/kernels/elementwise/elementwise.h"

#include "halftone/base/target.h"

namespace halftone::kernels {
namespace {

#if HALFTONE_X86
const Ladder<ReluArgs, 3> kRelu("relu", {{{Isa::avx512, nullptr, avx512::relu},
                                          {Isa::avx2, nullptr, avx2::relu},
                                          {Isa::ref, nullptr, ref::relu}}});
const Ladder<ReluBackwardArgs, 3> kReluBackward("relu_backward",
                                                {{{Isa::avx512, nullptr, avx512::relu_backward},
                                                  {Isa::avx2, nullptr, avx2::relu_backward},
                                                  {Isa::ref, nullptr, ref::relu_backward}}});
const Ladder<AddArgs, 3> kAdd("add", {{{Isa::avx512, nullptr, avx512::add},
                                       {Isa::avx2, nullptr, avx2::add},
                                       {Isa::ref, nullptr, ref::add}}});
#else
const Ladder<ReluArgs, 1> kRelu("relu", {{{Isa::ref, nullptr, ref::relu}}});
const Ladder<ReluBackwardArgs, 1> kReluBackward("relu_backward",
                                                {{{Isa::ref, nullptr, ref::relu_backward}}});
const Ladder<AddArgs, 1> kAdd("add", {{{Isa::ref, nullptr, ref::add}}});
#endif

}  // namespace

void relu(const ReluArgs& args) { kRelu(args); }
void relu_backward(const ReluBackwardArgs& args) { kReluBackward(args); }
void add(const AddArgs& args) { kAdd(args); }

const LadderBase& relu_ladder() { return kRelu; }
const LadderBase& relu_backward_ladder() { return kReluBackward; }
const LadderBase& add_ladder() { return kAdd; }

}  // namespace halftone::kernels
