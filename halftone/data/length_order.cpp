#include "halftone/data/length_order.h"

#include <algorithm>

#include "halftone/data/random.h"

namespace halftone::data {
namespace {

constexpr int64_t kBatchesPerStretch = 20;

}  // namespace

void arrange_by_length(std::vector<int64_t>& order, int64_t batch, uint64_t key,
                       const std::function<size_t(int64_t index)>& length) {
  const auto by_length = [&](int64_t a, int64_t b) { return length(a) < length(b); };
  const auto stretch = kBatchesPerStretch * batch, size = static_cast<int64_t>(order.size());
  for (int64_t begin = 0; begin < size; begin += stretch) {
    std::stable_sort(order.begin() + begin, order.begin() + std::min(size, begin + stretch),
                     by_length);
  }
  // Whole batches change places; one that is not full stays the last.
  CounterRng random(key);
  for (int64_t left = size / batch; left > 1; --left) {
    const int64_t other = random.below(left);
    if (other == left - 1) continue;
    std::swap_ranges(order.begin() + (left - 1) * batch, order.begin() + left * batch,
                     order.begin() + other * batch);
  }
}

}  // namespace halftone::data
