#include "halftone/kernels/embedding/embedding.h"

#include "halftone/base/target.h"

namespace halftone::kernels {
namespace {

#if HALFTONE_X86
const Ladder<EmbeddingBackwardArgs, 3> kEmbeddingBackward(
    "embedding_backward", {{{Isa::avx512, nullptr, avx512::embedding_backward},
                            {Isa::avx2, nullptr, avx2::embedding_backward},
                            {Isa::ref, nullptr, ref::embedding_backward}}});
#else
const Ladder<EmbeddingBackwardArgs, 1> kEmbeddingBackward(
    "embedding_backward", {{{Isa::ref, nullptr, ref::embedding_backward}}});
#endif

}  // namespace

void embedding_backward(const EmbeddingBackwardArgs& args) { kEmbeddingBackward(args); }

const LadderBase& embedding_backward_ladder() { return kEmbeddingBackward; }

}  // namespace halftone::kernels
