#include "halftone/kernels/upsample/upsample.h"

#include "halftone/base/target.h"

namespace halftone::kernels {
namespace {

#if HALFTONE_X86
const Ladder<UpsampleArgs, 3> kUpsample("upsample", {{{Isa::avx512, nullptr, avx512::upsample},
                                                      {Isa::avx2, nullptr, avx2::upsample},
                                                      {Isa::ref, nullptr, ref::upsample}}});
const Ladder<UpsampleBackwardArgs, 3> kUpsampleBackward(
    "upsample_backward", {{{Isa::avx512, nullptr, avx512::upsample_backward},
                           {Isa::avx2, nullptr, avx2::upsample_backward},
                           {Isa::ref, nullptr, ref::upsample_backward}}});
#else
const Ladder<UpsampleArgs, 1> kUpsample("upsample", {{{Isa::ref, nullptr, ref::upsample}}});
const Ladder<UpsampleBackwardArgs, 1> kUpsampleBackward(
    "upsample_backward", {{{Isa::ref, nullptr, ref::upsample_backward}}});
#endif

}  // namespace

void upsample(const UpsampleArgs& args) { kUpsample(args); }
void upsample_backward(const UpsampleBackwardArgs& args) { kUpsampleBackward(args); }

const LadderBase& upsample_ladder() { return kUpsample; }
const LadderBase& upsample_backward_ladder() { return kUpsampleBackward; }

}  // namespace halftone::kernels
