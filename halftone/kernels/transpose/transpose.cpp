#include "halftone/kernels/transpose/transpose.h"

#include "halftone/base/target.h"

namespace halftone::kernels {
namespace {

// Wider registers would have nothing to add: rung avx2 is bound by memory.
#if HALFTONE_X86
const Ladder<TransposeArgs, 2> kTranspose("transpose",
                                          {{{Isa::avx2, nullptr, avx2::transpose_halves},
                                            {Isa::ref, nullptr, ref::transpose_halves}}});
#else
const Ladder<TransposeArgs, 1> kTranspose("transpose",
                                          {{{Isa::ref, nullptr, ref::transpose_halves}}});
#endif

}  // namespace

void transpose_halves(const TransposeArgs& args) { kTranspose(args); }

const LadderBase& transpose_ladder() { return kTranspose; }

}  // namespace halftone::kernels
