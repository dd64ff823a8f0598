// The range of a tensor's values: smallest and largest finite one, and how many are zero, NaN or
// infinite. One read of the tensor.
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/kernels/element.h"
#include "halftone/kernels/ladder.h"

namespace halftone::kernels {

struct ValueRange {
  float low, high;  // of the finite values; +infinity and -infinity where there is none
  std::int64_t zeros, nans, positive_infinities, negative_infinities;

  std::int64_t not_finite() const { return nans + positive_infinities + negative_infinities; }
};

// data: `length` elements of `format`, contiguous, any alignment. length >= 0. result: not null.
// Exact and the same on every rung and for any number of threads, except that a thread that flushes
// subnormals (MXCSR.DAZ) counts them as zeros.
struct RangeArgs {
  Element format;
  const void* data;
  std::int64_t length;
  ValueRange* result;
};

HALFTONE_API void range(const RangeArgs& args);

// Its ladder, for tests and `halftone doctor`.
HALFTONE_API const LadderBase& range_ladder();

namespace ref {
void range(const RangeArgs& args);
}
namespace avx2 {
void range(const RangeArgs& args);
}
namespace avx512 {
void range(const RangeArgs& args);
}

}  // namespace halftone::kernels
