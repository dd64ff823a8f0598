#include "halftone/kernels/optimizer/optimizer.h"

#include "halftone/base/target.h"

namespace halftone::kernels {
namespace {

#if HALFTONE_X86
const Ladder<GradientCheckArgs, 3> kGradientCheck("gradient_check",
                                                  {{{Isa::avx512, nullptr, avx512::gradient_check},
                                                    {Isa::avx2, nullptr, avx2::gradient_check},
                                                    {Isa::ref, nullptr, ref::gradient_check}}});
const Ladder<OptimizerUpdateArgs, 3> kOptimizerUpdate(
    "optimizer_update", {{{Isa::avx512, nullptr, avx512::optimizer_update},
                          {Isa::avx2, nullptr, avx2::optimizer_update},
                          {Isa::ref, nullptr, ref::optimizer_update}}});
#else
const Ladder<GradientCheckArgs, 1> kGradientCheck("gradient_check",
                                                  {{{Isa::ref, nullptr, ref::gradient_check}}});
const Ladder<OptimizerUpdateArgs, 1> kOptimizerUpdate(
    "optimizer_update", {{{Isa::ref, nullptr, ref::optimizer_update}}});
#endif

}  // namespace

void gradient_check(const GradientCheckArgs& args) { kGradientCheck(args); }
const LadderBase& gradient_check_ladder() { return kGradientCheck; }

void optimizer_update(const OptimizerUpdateArgs& args) { kOptimizerUpdate(args); }
const LadderBase& optimizer_update_ladder() { return kOptimizerUpdate; }

}  // namespace halftone::kernels
