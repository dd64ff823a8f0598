#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/quantize/grid.h"
#include "halftone/kernels/quantize/quantize.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx2 {
namespace {

#include "halftone/kernels/vector/vec_avx2.inl.h"

#include "halftone/kernels/vector/bits_avx2.inl.h"
#include "halftone/kernels/vector/draws_avx2.inl.h"

#include "halftone/kernels/quantize/quantize.inl.h"

}  // namespace

void quantize_dequantize(const QuantizeArgs& args) { round_all<false>(args); }
void quantize(const QuantizeArgs& args) { round_all<true>(args); }
void quantize_dequantize_blocks(const BlockQuantizeArgs& args) { round_all_blocks<false>(args); }
void quantize_blocks(const BlockQuantizeArgs& args) { round_all_blocks<true>(args); }

}  // namespace halftone::kernels::avx2
#endif
