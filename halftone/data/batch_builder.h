// A data set of any kind as a Loader sees it: numbered examples that are put together into batches.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/data/batch.h"

namespace halftone::data {

// Every const member may be called from several threads at once: a Loader's workers do.
class HALFTONE_API BatchBuilder {
 public:
  virtual ~BatchBuilder() = default;

  virtual int64_t size() const = 0;  // examples

  // The batch of these examples; depends on (seed, epoch, index) alone for each of them. Throws
  // Error for data that can't be read.
  virtual Batch build(std::span<const int64_t> indices, int64_t epoch, uint64_t seed) const = 0;

  // May move examples within `order`, an epoch's order that is then cut into batches of `batch`: so
  // that texts of about one length come together. key: of the epoch's random numbers.
  virtual void arrange(std::vector<int64_t>& /*order*/, int64_t /*batch*/, uint64_t /*key*/) const {
  }
};

}  // namespace halftone::data
