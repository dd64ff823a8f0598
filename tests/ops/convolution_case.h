// A call of a convolution and its comparison with fp64 and LibTorch: for the tests of its
// overrides.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "halftone/base/isa.h"
#include "tests/support/test.h"

namespace halftone {

// A call of aten::convolution on [2, channels, ..] and its weights.
struct ConvolutionCase {
  const char* name;
  std::vector<std::int64_t> input, weight, stride, padding, dilation;
  bool transposed = false;
  std::vector<std::int64_t> output_padding = {0};
  std::int64_t groups = 1;
};

inline at::Tensor run_case(const ConvolutionCase& c, const at::Tensor& x, const at::Tensor& w,
                           const at::Tensor& bias) {
  return at::convolution(x, w, bias, c.stride, c.padding, c.dilation, c.transposed,
                         c.output_padding, c.groups);
}

inline double convolution_error(const at::Tensor& got, const at::Tensor& exact) {
  return ((got.to(at::kDouble) - exact).norm() / exact.norm()).item<double>();
}

inline at::Tensor leaf(const at::Tensor& tensor, at::ScalarType type) {
  return tensor.detach().to(type).requires_grad_();
}

inline std::vector<at::MemoryFormat> formats_of(const ConvolutionCase& c) {
  if (c.input.size() == 3) return {at::MemoryFormat::Contiguous};
  return {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast};
}

// A rung on which LibTorch's own kernels never serve bf16 in ours' stead.
class Avx2Rung {
 public:
  Avx2Rung() {
    if (before_ > Isa::avx2) set_isa(Isa::avx2);
  }
  ~Avx2Rung() { set_isa(before_); }
  Avx2Rung(const Avx2Rung&) = delete;

 private:
  Isa before_ = isa();
};

// The output, and the gradients that backward(g) left in the operands, against fp64. allowed: of
// each that is a sum of products; the bias's gradient is one of many roundings more.
inline void expect_fp64(const ConvolutionCase& c, const at::Tensor& x, const at::Tensor& w,
                        const at::Tensor& bias, const at::Tensor& y, const at::Tensor& g,
                        double allowed) {
  const auto xd = leaf(x, at::kDouble), wd = leaf(w, at::kDouble), bd = leaf(bias, at::kDouble);
  const auto exact = run_case(c, xd, wd, bd);
  exact.backward(g.to(at::kDouble));
  EXPECT_LE(convolution_error(y, exact), c.transposed ? 2 * allowed : allowed);
  EXPECT_LE(convolution_error(x.grad(), xd.grad()), allowed);
  EXPECT_LE(convolution_error(w.grad(), wd.grad()), allowed);
  EXPECT_LE(convolution_error(bias.grad(), bd.grad()), 2 * allowed);
}

// The same order in memory; strides of dimensions of size 1 don't matter.
inline bool same_format(const at::Tensor& a, const at::Tensor& b) {
  return a.is_contiguous() == b.is_contiguous() &&
         a.is_contiguous(at::MemoryFormat::ChannelsLast) ==
             b.is_contiguous(at::MemoryFormat::ChannelsLast);
}

}  // namespace halftone
