#include "halftone/kernels/range/range.h"

#include "halftone/base/target.h"

namespace halftone::kernels {
namespace {

#if HALFTONE_X86
const Ladder<RangeArgs, 3> kRange("range", {{{Isa::avx512, nullptr, avx512::range},
                                             {Isa::avx2, nullptr, avx2::range},
                                             {Isa::ref, nullptr, ref::range}}});
#else
const Ladder<RangeArgs, 1> kRange("range", {{{Isa::ref, nullptr, ref::range}}});
#endif

}  // namespace

void range(const RangeArgs& args) { kRange(args); }

const LadderBase& range_ladder() { return kRange; }

}  // namespace halftone::kernels
