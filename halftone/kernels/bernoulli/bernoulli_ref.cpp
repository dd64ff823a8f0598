#include "halftone/kernels/bernoulli/range.h"

namespace halftone::kernels::ref {

void bernoulli(const BernoulliArgs& args) { bernoulli_ranges(args, bernoulli_scalar); }

}  // namespace halftone::kernels::ref
