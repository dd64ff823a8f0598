#include <cmath>

#include "halftone/base/parallel.h"
#include "halftone/kernels/activation/activation.h"
#include "halftone/kernels/activation/table.h"

namespace halftone::kernels::ref {
namespace {

#include "halftone/kernels/vector/vec_ref.inl.h"

#include "halftone/kernels/activation/activation_backward.inl.h"

void look_up(const std::uint16_t* table, const std::uint16_t* input, std::uint16_t* output,
             std::int64_t length) {
  std::int64_t i = 0;
  for (; i + 8 <= length; i += 8) {
    std::uint16_t found[8];
#pragma GCC unroll 8
    for (int k = 0; k < 8; ++k) found[k] = table[input[i + k]];
#pragma GCC unroll 8
    for (int k = 0; k < 8; ++k) output[i + k] = found[k];
  }
  for (; i < length; ++i) output[i] = table[input[i]];
}

}  // namespace

void activation(const ActivationArgs& args) {
  const std::uint16_t* table = activation_table(args.activation, args.format);
  parallel_for(0, args.length, kActivationGrain, [&](std::int64_t begin, std::int64_t end) {
    look_up(table, args.input + begin, args.output + begin, end - begin);
  });
}

void activation_backward(const ActivationBackwardArgs& args) { multiply_slopes(args); }

}  // namespace halftone::kernels::ref
