#include <cmath>
#include <cstring>

#include "halftone/base/parallel.h"
#include "halftone/kernels/max_pool/max_pool.h"

namespace halftone::kernels::ref {
namespace {

#include "halftone/kernels/vector/vec_ref.inl.h"

#include "halftone/kernels/vector/strided_ref.inl.h"

using Index = std::int32_t;

HALFTONE_RUNG Index index_splat(std::int64_t value) { return static_cast<Index>(value); }
HALFTONE_RUNG Index index_add(Index a, Index b) { return a + b; }
HALFTONE_RUNG Index index_ramp(std::int64_t) { return 0; }
HALFTONE_RUNG Index load_index(const std::int32_t* p) { return *p; }
HALFTONE_RUNG void store_index(std::int32_t* p, Index value) { *p = value; }
HALFTONE_RUNG void widen_indices(std::int64_t* p, Index value) { *p = value; }
HALFTONE_RUNG void widen_indices_part(std::int64_t*, Index, std::int64_t) {}
HALFTONE_RUNG void keep_larger(Vec& best, Index& at, Vec value, Index place) {
  if (value > best || std::isnan(value)) best = value, at = place;
}
HALFTONE_RUNG Vec add_where_index(Vec sum, const std::int64_t* at, std::int64_t place, Vec value) {
  return *at == place ? sum + value : sum;
}
HALFTONE_RUNG Vec add_where_index_part(Vec sum, const std::int64_t*, std::int64_t, Vec,
                                       std::int64_t) {
  return sum;
}

#include "halftone/kernels/max_pool/max_pool.inl.h"

}  // namespace

void max_pool(const MaxPoolArgs& args) {
  args.shape.format == HalfFormat::fp16 ? max_pool_rows<HalfFormat::fp16>(args)
                                        : max_pool_rows<HalfFormat::bf16>(args);
}

void max_pool_backward(const MaxPoolBackwardArgs& args) {
  args.shape.format == HalfFormat::fp16 ? spread_rows<HalfFormat::fp16>(args)
                                        : spread_rows<HalfFormat::bf16>(args);
}

}  // namespace halftone::kernels::ref
