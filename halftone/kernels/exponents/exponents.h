// How a tensor's magnitudes are spread: a histogram of exponents, the largest, the sum of squares.
// One read of the tensor.
#pragma once

#include <array>
#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/kernels/element.h"
#include "halftone/kernels/ladder.h"

namespace halftone::kernels {

struct ExponentCounts {
  // [e]: elements whose fp32 exponent field is e, magnitudes in [2^(e-127), 2^(e-126)). [0]: zeros
  // and magnitudes below 2^-126. [255]: infinities and NaN.
  std::array<std::int64_t, 256> by_exponent;
  std::int64_t zeros;
  float amax;         // of the finite ones; 0 where there is none
  double square_sum;  // of the finite ones
};

// data: `length` elements of `format`, contiguous, any alignment. length >= 0. result: not null.
// Counts and amax are exact. square_sum: fp32 squares summed over 4096 elements, in double beyond;
// blocks whose fp32 sum leaves [2^-60, 2^120] are summed in double. Relative error at most
// 4096 * 2^-24. The same bits for any number of threads.
struct ExponentArgs {
  Element format;
  const void* data;
  std::int64_t length;
  ExponentCounts* result;
};

HALFTONE_API void count_exponents(const ExponentArgs& args);

// Its ladder, for tests and `halftone doctor`.
HALFTONE_API const LadderBase& exponents_ladder();

namespace ref {
void count_exponents(const ExponentArgs& args);
}
namespace avx2 {
void count_exponents(const ExponentArgs& args);
}
namespace avx512 {
void count_exponents(const ExponentArgs& args);
}

}  // namespace halftone::kernels
