// Fills a half tensor with ones and zeros at random: what dropout multiplies by.
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/base/half.h"
#include "halftone/kernels/ladder.h"

namespace halftone::kernels {

// output: `length` elements, 0 <= length < 2^32, dense, any alignment. Element i is 0 where
// draw(key, i) < zeros (optimizer/rounding.h), so with probability zeros / 2^32, else 1. The same
// key gives the same bits on every rung and for any thread count.
struct BernoulliArgs {
  HalfFormat format;
  std::int64_t length;
  std::uint64_t key;
  std::uint32_t zeros;
  std::uint16_t* output;
};

HALFTONE_API void bernoulli(const BernoulliArgs& args);
HALFTONE_API const LadderBase& bernoulli_ladder();

namespace ref {
void bernoulli(const BernoulliArgs& args);
}
namespace avx2 {
void bernoulli(const BernoulliArgs& args);
}
namespace avx512 {
void bernoulli(const BernoulliArgs& args);
}

}  // namespace halftone::kernels
