#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/product/buffers.h"
#include "halftone/kernels/upsample/taps.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx2 {
namespace {

#include "halftone/kernels/vector/vec_avx2.inl.h"

#include "halftone/kernels/vector/gather_avx2.inl.h"

#include "halftone/kernels/upsample/upsample.inl.h"

}  // namespace

void upsample(const UpsampleArgs& args) {
  args.shape.format == HalfFormat::fp16 ? upsample_rows<HalfFormat::fp16>(args)
                                        : upsample_rows<HalfFormat::bf16>(args);
}

void upsample_backward(const UpsampleBackwardArgs& args) {
  args.shape.format == HalfFormat::fp16 ? gradient_rows<HalfFormat::fp16>(args)
                                        : gradient_rows<HalfFormat::bf16>(args);
}

}  // namespace halftone::kernels::avx2
#endif
