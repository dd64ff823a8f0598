#include <algorithm>
#include <cmath>
#include <cstring>

#include "halftone/base/parallel.h"
#include "halftone/kernels/embedding/embedding.h"

namespace halftone::kernels::ref {
namespace {

#include "halftone/kernels/vector/vec_ref.inl.h"

#include "halftone/kernels/embedding/embedding.inl.h"

}  // namespace

void embedding_backward(const EmbeddingBackwardArgs& args) {
  args.format == HalfFormat::fp16 ? sum_words<HalfFormat::fp16>(args)
                                  : sum_words<HalfFormat::bf16>(args);
}

}  // namespace halftone::kernels::ref
