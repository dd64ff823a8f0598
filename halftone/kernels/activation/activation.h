// GELU (both forms) and SiLU of half tensors, and their backward pass.
#pragma once

#include <cstdint>

#include "halftone/base/export.h"
#include "halftone/base/half.h"
#include "halftone/kernels/ladder.h"

namespace halftone::kernels {

// gelu: x Phi(x), Phi the normal distribution. gelu_tanh: x / (1 + e^(-2 u)) with
// u = sqrt(2 / pi) (x + 0.044715 x^3). silu: x / (1 + e^-x).
// (Hendrycks and Gimpel, Gaussian Error Linear Units, arXiv:1606.08415.)
enum class ActivationFunction : std::uint8_t { gelu, gelu_tanh, silu };

// input, output: `length` elements, dense, any alignment; they may be the same.
//
// A half has 65536 values: the results of all are computed once in fp64 and looked up (128 KB, of
// which inputs near 1 use some 16). An element takes one to two cycles, less than the exp,
// polynomial and division of an evaluation in fp32, so that this needs no other rung.
// Error: half an ulp (twice rounded: 0.51). -infinity gives NaN, as in LibTorch (-infinity * 0).
struct ActivationArgs {
  ActivationFunction activation;
  HalfFormat format;
  std::int64_t length;
  const std::uint16_t* input;
  std::uint16_t* output;
};

// grad_input = grad_output * slope(input), the slope to fp32 from a table (256 KB), the product
// rounded once to half: 0.51 ulp. grad_input may be grad_output or input. NaN for infinite input,
// as in LibTorch (infinity * 0). Every rung gives the same bits.
struct ActivationBackwardArgs {
  ActivationFunction activation;
  HalfFormat format;
  std::int64_t length;
  const std::uint16_t* grad_output;
  const std::uint16_t* input;
  std::uint16_t* grad_input;
};

HALFTONE_API void activation(const ActivationArgs& args);
HALFTONE_API void activation_backward(const ActivationBackwardArgs& args);

HALFTONE_API const LadderBase& activation_ladder();
HALFTONE_API const LadderBase& activation_backward_ladder();

namespace ref {
void activation(const ActivationArgs& args);
void activation_backward(const ActivationBackwardArgs& args);
}  // namespace ref
namespace avx2 {
void activation_backward(const ActivationBackwardArgs& args);
}
namespace avx512 {
void activation_backward(const ActivationBackwardArgs& args);
}

}  // namespace halftone::kernels
