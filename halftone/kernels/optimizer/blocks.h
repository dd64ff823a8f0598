// Walks the blocks of many tensors in parallel, and what the read pass does with a block whose sum
// of squares left fp32's range.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "halftone/base/parallel.h"
#include "halftone/kernels/element.h"
#include "halftone/kernels/optimizer/optimizer.h"

namespace halftone::kernels {

// Less work than this per thread costs more to hand out than to do: a parallel region takes 5 to
// 10 us, 32 K elements of AdamW some 30.
constexpr std::int64_t kOptimizerSerial = 32768;

// body: void(const Span& span, std::int64_t begin, std::int64_t end, std::int64_t block), once per
// block, with the elements' range within the span.
template <class Span, class Body>
void for_each_block(const Span* spans, const std::int64_t* first_block, std::int64_t count,
                    Body&& body) {
  const std::int64_t blocks = first_block[count];
  std::int64_t elements = 1;
  for (std::int64_t i = 0; i < count; ++i) elements += spans[i].length;
  const std::int64_t grain = std::max<std::int64_t>(1, kOptimizerSerial * blocks / elements);
  parallel_for(0, blocks, grain, [&](std::int64_t from, std::int64_t to) {
    std::int64_t tensor =
        std::upper_bound(first_block, first_block + count + 1, from) - 1 - first_block;
    for (std::int64_t block = from; block < to; ++block) {
      while (first_block[tensor + 1] <= block) ++tensor;
      const std::int64_t begin = (block - first_block[tensor]) * kOptimizerBlock;
      body(spans[tensor], begin, std::min(begin + kOptimizerBlock, spans[tensor].length), block);
    }
  });
}

// The range in which a block's sum in fp32 is right: above, squares may have overflowed; below,
// 2^14 squares may each have lost up to 2^-149.
inline bool fp32_sum_holds(float sum) {
  return sum >= 0x1p-100f && sum <= std::numeric_limits<float>::max();
}

// The sum of squares in fp64, NaN at the first element that is not finite. Slow, for the odd block.
inline double wide_square_sum(Element format, const void* data, std::int64_t length) {
  const auto* bytes = static_cast<const char*>(data);
  const auto size = static_cast<std::size_t>(length) * (format == Element::fp32 ? 4 : 2);
  if (size == 0 || (bytes[0] == 0 && std::memcmp(bytes, bytes + 1, size - 1) == 0)) return 0;
  double sum = 0;
  for (std::int64_t i = 0; i < length; ++i) {
    const double value = element_value(format, data, i);
    if (!std::isfinite(value)) return std::numeric_limits<double>::quiet_NaN();
    sum += value * value;
  }
  return sum;
}

// For passes that only read: asks for the `bytes` that lie this far ahead. 100 ns of memory's
// latency at 40 GB/s of one core are 4 KB, a page, at whose end hardware prefetchers stop; four of
// them ride out a busy memory and still fit an L1 (measured: 16 and 32 KB alike, 4 KB a tenth
// slower). Behind the data it asks for memory that nobody needs, which is allowed.
constexpr std::uintptr_t kReadAhead = 16384;
inline void read_ahead(const void* from, std::int64_t bytes) {
  const auto at = reinterpret_cast<std::uintptr_t>(from) + kReadAhead;
  for (std::int64_t i = 0; i < bytes; i += 64) {
    __builtin_prefetch(reinterpret_cast<const void*>(at + static_cast<std::uintptr_t>(i)));
  }
}

// The read pass of a rung. square_sum: of one block, as GradientCheckArgs::block_sums says.
inline void check_blocks(const GradientCheckArgs& args,
                         double (*square_sum)(Element, const void*, std::int64_t length)) {
  for_each_block(
      args.spans, args.first_block, args.count,
      [&](const GradientSpan& span, std::int64_t begin, std::int64_t end, std::int64_t block) {
        args.block_sums[block] =
            square_sum(span.format, element_address(span.format, span.data, begin), end - begin);
      });
}

// The update pass of a rung. update_vectors: from steps.inl.h.
inline void update_blocks(const OptimizerUpdateArgs& args,
                          std::int64_t (*update_vectors)(const ParameterSpan&, std::int64_t begin,
                                                         std::int64_t end, double* sums)) {
  for_each_block(
      args.spans, args.first_block, args.count,
      [&](const ParameterSpan& span, std::int64_t begin, std::int64_t end, std::int64_t block) {
        double sums[2] = {};
        const std::int64_t tail = update_vectors(span, begin, end, sums);
        if (tail < end) ref::update_range(span, tail, end, sums);
        if (span.rule != UpdateRule::lamb_direction) return;
        args.block_sums[2 * block] = sums[0];
        args.block_sums[2 * block + 1] = sums[1];
      });
}

}  // namespace halftone::kernels
