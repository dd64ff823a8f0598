#include "halftone/kernels/dot/dot.h"

namespace halftone::kernels::ref {

void dot(const DotArgs& args) {
  float sum = 0;
  for (std::int64_t i = 0; i < args.length; ++i) {
    sum += half_to_float(args.format, args.a[i]) * half_to_float(args.format, args.b[i]);
  }
  *args.result = sum;
}

}  // namespace halftone::kernels::ref
