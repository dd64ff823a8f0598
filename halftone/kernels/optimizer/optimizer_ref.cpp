#include <cmath>

#include "halftone/kernels/optimizer/blocks.h"
#include "halftone/kernels/optimizer/optimizer.h"
#include "halftone/kernels/optimizer/rounding.h"

namespace halftone::kernels::ref {
namespace {

#include "halftone/kernels/vector/vec_ref.inl.h"

inline void store_half_stochastic(HalfFormat format, std::uint16_t* p, Vec value, std::uint64_t key,
                                  std::uint32_t element) {
  *p = stochastic_half(format, value, draw(key, element));
}
struct Squares {
  double sum = 0;
  void add(Vec value) { sum += static_cast<double>(value) * value; }
  double total() const { return sum; }
};

#include "halftone/kernels/optimizer/steps.inl.h"

constexpr std::int64_t kPartialSums = 8;

double square_sum(Element format, const void* data, std::int64_t length) {
  float partial[kPartialSums] = {};
  for (std::int64_t i = 0; i < length; ++i) {
    const float value = element_value(format, data, i);
    partial[i % kPartialSums] += value * value;
  }
  float sum = 0;
  for (float each : partial) sum += each;
  return fp32_sum_holds(sum) ? sum : wide_square_sum(format, data, length);
}

}  // namespace

void update_range(const ParameterSpan& span, std::int64_t begin, std::int64_t end, double* sums) {
  update_vectors(span, begin, end, sums);
}

void gradient_check(const GradientCheckArgs& args) { check_blocks(args, square_sum); }
void optimizer_update(const OptimizerUpdateArgs& args) { update_blocks(args, update_vectors); }

}  // namespace halftone::kernels::ref

#undef HALFTONE_RUNG
#undef HALFTONE_RUNG_ENTRY
