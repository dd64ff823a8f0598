// The cross-entropy of each row of a half matrix against a class, in fp32, and its gradient: what
// log_softmax and nll_loss give, in one pass each and with two numbers per row kept between them.
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/base/half.h"
#include "halftone/kernels/ladder.h"

namespace halftone::kernels {

// With m = max x, s = sum e^(x[i] - m), e = smoothing and t = the row's target:
//   loss = (m - x[t]) + ln s                                                   for e = 0
//   loss = (1 - e) (m - x[t]) + e (m - mean x) + ln s                          in general
// (Szegedy et al., Rethinking the Inception Architecture, section 7, with a uniform distribution.)
//
// input: rows * columns elements, dense, any alignment. target: rows of them, each in
// [0, columns) or ignore_index, whose row has loss 0. loss, max, log (ln s): rows of fp32.
//
// Errors of s as in softmax.h: 3.1e-5 relative at most, the absolute error of ln s; then three
// roundings in fp32. The same inputs give the same bits for any thread count. A row with NaN or
// +infinity, or all -infinity, gives NaN; a target at -infinity gives +infinity.
struct CrossEntropyArgs {
  HalfFormat format;
  std::int64_t rows, columns;
  const std::uint16_t* input;
  const std::int64_t* target;
  std::int64_t ignore_index;
  float smoothing;
  float *loss, *max, *log;
};

// grad_input[i] = g (e^(x[i] - m - ln s) - e / columns - (i == t ? 1 - e : 0)), computed in fp32
// and rounded once; zeros where the target is ignore_index, whatever the row holds. grad_loss: g,
// one per row. max, log: of the forward pass. grad_input may be input.
struct CrossEntropyBackwardArgs {
  HalfFormat format;
  std::int64_t rows, columns;
  const std::uint16_t* input;
  const std::int64_t* target;
  std::int64_t ignore_index;
  float smoothing;
  const float *max, *log, *grad_loss;
  std::uint16_t* grad_input;
};

HALFTONE_API void cross_entropy(const CrossEntropyArgs& args);
HALFTONE_API void cross_entropy_backward(const CrossEntropyBackwardArgs& args);

HALFTONE_API const LadderBase& cross_entropy_ladder();
HALFTONE_API const LadderBase& cross_entropy_backward_ladder();

namespace ref {
void cross_entropy(const CrossEntropyArgs& args);
void cross_entropy_backward(const CrossEntropyBackwardArgs& args);
}  // namespace ref
namespace avx2 {
void cross_entropy(const CrossEntropyArgs& args);
void cross_entropy_backward(const CrossEntropyBackwardArgs& args);
}  // namespace avx2
namespace avx512 {
void cross_entropy(const CrossEntropyArgs& args);
void cross_entropy_backward(const CrossEntropyBackwardArgs& args);
}  // namespace avx512

}  // namespace halftone::kernels
