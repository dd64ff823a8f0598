#include "halftone/kernels/elementwise/elementwise.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "halftone/base/parallel.h"

namespace halftone::kernels::ref {
namespace {

#include "halftone/kernels/vector/vec_ref.inl.h"

#include "halftone/kernels/vector/bits_ref.inl.h"
#include "halftone/kernels/vector/words_ref.inl.h"

#include "halftone/kernels/elementwise/elementwise.inl.h"

}  // namespace

void relu(const ReluArgs& args) { relu_all(args); }
void relu_backward(const ReluBackwardArgs& args) { relu_backward_all(args); }
void add(const AddArgs& args) { add_all(args); }

}  // namespace halftone::kernels::ref
