// Which inputs an output of one axis sees, and with what weights.
#pragma once

#include "halftone/kernels/upsample/upsample.h"

namespace halftone::kernels {

// Output o is low_weight[o] * input[low[o]] + high_weight[o] * input[high[o]]; both positions never
// fall with o. All of [out], padded with zeros to whole vectors.
struct UpsampleTaps {
  std::int64_t in, out;
  std::int32_t *low, *high;
  float *low_weight, *high_weight;

  // Bytes that the table takes.
  static std::int64_t bytes(const UpsampleAxis& axis);
  UpsampleTaps(const UpsampleAxis& axis, const UpsampleShape& shape, void* memory);

  // Outputs [begin, end) see input i, and no others; maybe none.
  void outputs_at(std::int64_t i, std::int64_t& begin, std::int64_t& end) const;
  float weight(std::int64_t o, std::int64_t i) const {
    return (low[o] == i ? low_weight[o] : 0) + (high[o] == i ? high_weight[o] : 0);
  }
};

}  // namespace halftone::kernels
