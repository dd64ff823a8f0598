#include "halftone/base/parallel.h"
#include "halftone/base/target.h"
#include "halftone/kernels/elementwise/elementwise.h"

#if HALFTONE_X86
#include <immintrin.h>

namespace halftone::kernels::avx2 {
namespace {

#include "halftone/kernels/vector/vec_avx2.inl.h"

#include "halftone/kernels/vector/bits_avx2.inl.h"
#include "halftone/kernels/vector/words_avx2.inl.h"

#include "halftone/kernels/elementwise/elementwise.inl.h"

}  // namespace

void relu(const ReluArgs& args) { relu_all(args); }
void relu_backward(const ReluBackwardArgs& args) { relu_backward_all(args); }
void add(const AddArgs& args) { add_all(args); }

}  // namespace halftone::kernels::avx2
#endif
