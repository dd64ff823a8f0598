#include "halftone/data/order.h"

#include <cstddef>
#include <numeric>
#include <utility>

#include "halftone/data/random.h"

namespace halftone::data {

std::vector<int64_t> epoch_order(int64_t size, bool shuffle, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), int64_t{0});
  if (!shuffle) return order;
  CounterRng rng(stream_key(seed, epoch, kOrderStream));
  for (int64_t left = size; left > 1; --left) {
    std::swap(order[static_cast<std::size_t>(left - 1)],
              order[static_cast<std::size_t>(rng.below(left))]);
  }
  return order;
}

}  // namespace halftone::data
