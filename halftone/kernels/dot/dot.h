// Dot product of two half vectors, accumulated in fp32: the smallest kernel that exists on every
// rung, and the pattern for all others (contract here, ladder in dot.cpp, one file per rung).
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/base/half.h"
#include "halftone/kernels/ladder.h"

namespace halftone::kernels {

// a, b: `length` elements of `format`, contiguous, any alignment, may alias. length >= 0.
// result: one fp32. Not null.
//
// Error: every rung sums at most `length` products in fp32 in a fixed order of its own, so
// |result - exact| <= length * 2^-24 * sum |a_i b_i| to first order (Higham, Accuracy and Stability
// of Numerical Algorithms, 4.2). Rung avx512_fp16 (fp16 only) adds each pair of products in fp16:
// + 2^-10 * sum |a_i b_i|, and a pair beyond 65504 overflows. Rung amx flushes bf16 subnormals.
// NaN and infinity propagate. Same inputs, same bits.
struct DotArgs {
  HalfFormat format;
  const std::uint16_t* a;
  const std::uint16_t* b;
  std::int64_t length;
  float* result;
};

HALFTONE_API void dot(const DotArgs& args);

// Its ladder, for tests and `halftone doctor`.
HALFTONE_API const LadderBase& dot_ladder();

namespace ref {
void dot(const DotArgs& args);
}
namespace avx2 {
void dot(const DotArgs& args);
}
namespace avx512 {
void dot(const DotArgs& args);
}
namespace avx512_fp16 {
const char* dot_refuses(const DotArgs& args);
void dot(const DotArgs& args);
}  // namespace avx512_fp16
namespace amx {
const char* dot_refuses(const DotArgs& args);
void dot(const DotArgs& args);
}  // namespace amx

}  // namespace halftone::kernels
