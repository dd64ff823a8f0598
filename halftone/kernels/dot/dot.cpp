#include "halftone/kernels/dot/dot.h"

#include "halftone/base/target.h"

namespace halftone::kernels {
namespace {

#if HALFTONE_X86
const Ladder<DotArgs, 5> kDot("dot",
                              {{{Isa::amx, amx::dot_refuses, amx::dot},
                                {Isa::avx512_fp16, avx512_fp16::dot_refuses, avx512_fp16::dot},
                                {Isa::avx512, nullptr, avx512::dot},
                                {Isa::avx2, nullptr, avx2::dot},
                                {Isa::ref, nullptr, ref::dot}}});
#else
const Ladder<DotArgs, 1> kDot("dot", {{{Isa::ref, nullptr, ref::dot}}});
#endif

}  // namespace

void dot(const DotArgs& args) { kDot(args); }

const LadderBase& dot_ladder() { return kDot; }

}  // namespace halftone::kernels
