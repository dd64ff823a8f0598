#include <algorithm>
#include <cstring>

#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/embedding/embedding.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx2 {
namespace {

#include "halftone/kernels/vector/vec_avx2.inl.h"

#include "halftone/kernels/embedding/embedding.inl.h"

}  // namespace

void embedding_backward(const EmbeddingBackwardArgs& args) {
  args.format == HalfFormat::fp16 ? sum_words<HalfFormat::fp16>(args)
                                  : sum_words<HalfFormat::bf16>(args);
}

}  // namespace halftone::kernels::avx2
#endif
