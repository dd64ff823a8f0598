#include <cmath>

#include "halftone/base/parallel.h"
#include "halftone/kernels/softmax/softmax.h"

namespace halftone::kernels::ref {
namespace {

#include "halftone/kernels/vector/vec_ref.inl.h"

#include "halftone/kernels/vector/math.inl.h"

#include "halftone/kernels/softmax/row.inl.h"

#include "halftone/kernels/softmax/softmax.inl.h"

}  // namespace

void softmax(const SoftmaxArgs& args) { softmax_rows(args); }
void softmax_backward(const SoftmaxBackwardArgs& args) { softmax_backward_rows(args); }

}  // namespace halftone::kernels::ref
