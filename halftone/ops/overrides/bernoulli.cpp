#include "halftone/kernels/bernoulli/bernoulli.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/bernoulli_cpu_dispatch.h>

#include "halftone/ops/generator.h"
#include "halftone/ops/overrides/half_tensor.h"
#include "halftone/ops/overrides/override.h"

namespace halftone::ops {
namespace {

// Dropout's mask: at::dropout fills a tensor of its input's format. A seed gives other masks than
// LibTorch's own kernel does.
at::Tensor& bernoulli_(at::Tensor& self, double p, std::optional<at::Generator> generator) {
  const bool random = p > 0 && p < 1;
  if (!random || !is_half(self) || !self.is_non_overlapping_and_dense()) {
    return at::cpu::bernoulli_(self, p, generator);
  }
  const auto zeros = static_cast<std::uint32_t>((1 - p) * 0x1p32);
  kernels::bernoulli(
      {half_format(self), self.numel(), next_draw_key(generator), zeros, mutable_half_data(self)});
  return self;
}

void install_bernoulli(torch::Library& library) { library.impl("bernoulli_.float", bernoulli_); }

const OverrideRegistration kBernoulli{{"bernoulli", install_bernoulli}};

}  // namespace
}  // namespace halftone::ops
