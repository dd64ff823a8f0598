#include <bit>
#include <cmath>
#include <limits>

#include "halftone/base/parallel.h"
#include "halftone/kernels/exponents/exponents.h"

namespace halftone::kernels::ref {
namespace {

#include "halftone/kernels/vector/vec_ref.inl.h"

#include "halftone/kernels/exponents/exponents.inl.h"

}  // namespace

void count_exponents(const ExponentArgs& args) { count_all(args); }

}  // namespace halftone::kernels::ref
