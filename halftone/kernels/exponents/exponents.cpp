#include "halftone/kernels/exponents/exponents.h"

#include "halftone/base/target.h"

namespace halftone::kernels {
namespace {

#if HALFTONE_X86
const Ladder<ExponentArgs, 3> kExponents("exponents",
                                         {{{Isa::avx512, nullptr, avx512::count_exponents},
                                           {Isa::avx2, nullptr, avx2::count_exponents},
                                           {Isa::ref, nullptr, ref::count_exponents}}});
#else
const Ladder<ExponentArgs, 1> kExponents("exponents",
                                         {{{Isa::ref, nullptr, ref::count_exponents}}});
#endif

}  // namespace

void count_exponents(const ExponentArgs& args) { kExponents(args); }

const LadderBase& exponents_ladder() { return kExponents; }

}  // namespace halftone::kernels
