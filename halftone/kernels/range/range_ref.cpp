#include <cmath>
#include <limits>
#include <mutex>

#include "halftone/base/parallel.h"
#include "halftone/kernels/range/range.h"

namespace halftone::kernels::ref {
namespace {

#include "halftone/kernels/vector/vec_ref.inl.h"

#include "halftone/kernels/range/range.inl.h"

}  // namespace

void range(const RangeArgs& args) { find_range(args); }

}  // namespace halftone::kernels::ref
