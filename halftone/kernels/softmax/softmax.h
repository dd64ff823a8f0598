// Softmax and log-softmax over the rows of a half matrix, and their backward passes.
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/base/half.h"
#include "halftone/kernels/ladder.h"

namespace halftone::kernels {

// output[i] = e^(x[i] - m) / s, or with log: (x[i] - m) - ln s; m = max x, s = sum e^(x[i] - m), of
// each row. input, output: rows * columns elements, dense, any alignment; they may be the same.
//
// e^x within 2 ulp, s in fp32 over blocks of kSoftmaxBlock columns, blocks in fp64. Relative error
// of s: (kSoftmaxBlock / 8 + 3) * 2^-24 = 3.1e-5 at most, some 1e-6 in fact; absolute error of the
// logarithm the same; then half an ulp of the output. The same inputs give the same bits for any
// thread count; rungs differ in rounding. A row with NaN or +infinity, or all -infinity, gives NaN.
struct SoftmaxArgs {
  HalfFormat format;
  bool log;
  std::int64_t rows, columns;
  const std::uint16_t* input;
  std::uint16_t* output;
};

// output: of the forward pass. grad_input[i] = y[i] (g[i] - sum g y), or with log:
// g[i] - e^y[i] sum g; sums and errors as above. grad_input may be grad_output or output.
struct SoftmaxBackwardArgs {
  HalfFormat format;
  bool log;
  std::int64_t rows, columns;
  const std::uint16_t* grad_output;
  const std::uint16_t* output;
  std::uint16_t* grad_input;
};

// 16 KB of fp32, so that a row's exponentials are kept in L1 until their sum is known; longer rows
// compute them twice.
constexpr std::int64_t kSoftmaxBlock = 4096;

HALFTONE_API void softmax(const SoftmaxArgs& args);
HALFTONE_API void softmax_backward(const SoftmaxBackwardArgs& args);

HALFTONE_API const LadderBase& softmax_ladder();
HALFTONE_API const LadderBase& softmax_backward_ladder();

namespace ref {
void softmax(const SoftmaxArgs& args);
void softmax_backward(const SoftmaxBackwardArgs& args);
}  // namespace ref
namespace avx2 {
void softmax(const SoftmaxArgs& args);
void softmax_backward(const SoftmaxBackwardArgs& args);
}  // namespace avx2
namespace avx512 {
void softmax(const SoftmaxArgs& args);
void softmax_backward(const SoftmaxBackwardArgs& args);
}  // namespace avx512

}  // namespace halftone::kernels
