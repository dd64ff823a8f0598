#include <cmath>

#include "halftone/base/parallel.h"
#include "halftone/kernels/cross_entropy/cross_entropy.h"
#include "halftone/kernels/softmax/softmax.h"

namespace halftone::kernels::ref {
namespace {

#include "halftone/kernels/vector/vec_ref.inl.h"

#include "halftone/kernels/vector/math.inl.h"

#include "halftone/kernels/softmax/row.inl.h"

#include "halftone/kernels/cross_entropy/cross_entropy.inl.h"

}  // namespace

void cross_entropy(const CrossEntropyArgs& args) { cross_entropy_rows(args); }
void cross_entropy_backward(const CrossEntropyBackwardArgs& args) {
  cross_entropy_backward_rows(args);
}

}  // namespace halftone::kernels::ref
