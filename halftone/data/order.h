// The order in which an epoch visits the data set.
#pragma once

#include <cstdint>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::data {

// 0 to size - 1: as they are, or shuffled (Fisher-Yates) by (seed, epoch) alone.
HALFTONE_API std::vector<int64_t> epoch_order(int64_t size, bool shuffle, uint64_t seed,
                                              int64_t epoch);

}  // namespace halftone::data
