// Examples of about one length together in a batch.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace halftone::data {

// BatchBuilder::arrange() of texts: stretches of `order` are sorted by length and cut into batches,
// whose order is then drawn by `key`. Little padding, and chance still decides what comes together.
void arrange_by_length(std::vector<int64_t>& order, int64_t batch, uint64_t key,
                       const std::function<size_t(int64_t index)>& length);

}  // namespace halftone::data
