#include <cstring>

#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/average_pool/average_pool.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx512 {
namespace {

#include "halftone/kernels/vector/vec_avx512.inl.h"

#include "halftone/kernels/vector/strided_avx512.inl.h"

#include "halftone/kernels/average_pool/average_pool.inl.h"

}  // namespace

void average_pool(const AveragePoolArgs& args) {
  args.shape.format == HalfFormat::fp16 ? average_rows<HalfFormat::fp16>(args)
                                        : average_rows<HalfFormat::bf16>(args);
}

void average_pool_backward(const AveragePoolBackwardArgs& args) {
  args.shape.format == HalfFormat::fp16 ? share_rows<HalfFormat::fp16>(args)
                                        : share_rows<HalfFormat::bf16>(args);
}

}  // namespace halftone::kernels::avx512
#endif
