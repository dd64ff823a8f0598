#include "halftone/kernels/bernoulli/bernoulli.h"

#include "halftone/base/target.h"

namespace halftone::kernels {
namespace {

#if HALFTONE_X86
const Ladder<BernoulliArgs, 3> kBernoulli("bernoulli", {{{Isa::avx512, nullptr, avx512::bernoulli},
                                                         {Isa::avx2, nullptr, avx2::bernoulli},
                                                         {Isa::ref, nullptr, ref::bernoulli}}});
#else
const Ladder<BernoulliArgs, 1> kBernoulli("bernoulli", {{{Isa::ref, nullptr, ref::bernoulli}}});
#endif

}  // namespace

void bernoulli(const BernoulliArgs& args) { kBernoulli(args); }

const LadderBase& bernoulli_ladder() { return kBernoulli; }

}  // namespace halftone::kernels
