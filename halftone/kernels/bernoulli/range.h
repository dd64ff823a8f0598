// What the rungs of bernoulli share.
#pragma once

#include "halftone/base/parallel.h"
#include "halftone/kernels/bernoulli/bernoulli.h"
#include "halftone/kernels/optimizer/rounding.h"

namespace halftone::kernels {

// Elements that one task should handle at least: some 20 us.
constexpr std::int64_t kBernoulliGrain = 32768;

inline std::uint16_t bernoulli_one(HalfFormat format) { return float_to_half(format, 1); }

inline void bernoulli_scalar(const BernoulliArgs& args, std::int64_t begin, std::int64_t end) {
  const std::uint16_t one = bernoulli_one(args.format);
  for (std::int64_t i = begin; i < end; ++i) {
    args.output[i] = draw(args.key, static_cast<std::uint32_t>(i)) < args.zeros ? 0 : one;
  }
}

template <class Range>
void bernoulli_ranges(const BernoulliArgs& args, Range range) {
  parallel_for(0, args.length, kBernoulliGrain,
               [&](std::int64_t begin, std::int64_t end) { range(args, begin, end); });
}

}  // namespace halftone::kernels
