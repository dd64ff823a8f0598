// Passes over half tensors that do next to nothing with an element: ReLU, its gradient, addition.
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/base/half.h"
#include "halftone/kernels/ladder.h"

namespace halftone::kernels {

// `length` elements, dense, any alignment. Outputs may be one of the inputs, but not overlap them
// otherwise. Every rung gives the same bits for any thread count.

// output = max(input, 0), 0 for -0; NaN stays as it is.
struct ReluArgs {
  HalfFormat format;
  std::int64_t length;
  const std::uint16_t* input;
  std::uint16_t* output;
};

// grad_input = result > 0 or NaN ? grad_output : 0, as LibTorch's threshold_backward at 0. result:
// ReLU's input or output.
struct ReluBackwardArgs {
  HalfFormat format;
  std::int64_t length;
  const std::uint16_t* grad_output;
  const std::uint16_t* result;
  std::uint16_t* grad_input;
};

// output = a + alpha b in fp32 (one FMA), rounded once to the format.
struct AddArgs {
  HalfFormat format;
  std::int64_t length;
  const std::uint16_t* a;
  const std::uint16_t* b;
  float alpha;
  std::uint16_t* output;
};

HALFTONE_API void relu(const ReluArgs& args);
HALFTONE_API void relu_backward(const ReluBackwardArgs& args);
HALFTONE_API void add(const AddArgs& args);

HALFTONE_API const LadderBase& relu_ladder();
HALFTONE_API const LadderBase& relu_backward_ladder();
HALFTONE_API const LadderBase& add_ladder();

namespace ref {
void relu(const ReluArgs& args);
void relu_backward(const ReluBackwardArgs& args);
void add(const AddArgs& args);
}  // namespace ref
namespace avx2 {
void relu(const ReluArgs& args);
void relu_backward(const ReluBackwardArgs& args);
void add(const AddArgs& args);
}  // namespace avx2
namespace avx512 {
void relu(const ReluArgs& args);
void relu_backward(const ReluBackwardArgs& args);
void add(const AddArgs& args);
}  // namespace avx512

}  // namespace halftone::kernels
