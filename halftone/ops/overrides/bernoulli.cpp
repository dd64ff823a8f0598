#include "halftone/kernels/bernoulli/bernoulli.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/bernoulli_cpu_dispatch.h>

#include <mutex>

#include "halftone/kernels/optimizer/rounding.h"
#include "halftone/ops/overrides/half_tensor.h"
#include "halftone/ops/overrides/override.h"

namespace halftone::ops {
namespace {

// One number of the generator is the key of a whole tensor: what it draws next does not depend on
// the tensor's size, and a seed gives other masks than LibTorch's own kernel does.
std::uint64_t next_key(const std::optional<at::Generator>& generator) {
  auto* source = at::get_generator_or_default<at::CPUGeneratorImpl>(
      generator, at::detail::getDefaultCPUGenerator());
  const std::lock_guard<std::mutex> lock(source->mutex_);
  return kernels::mix64(source->random64());
}

// Dropout's mask: at::dropout fills a tensor of its input's format.
at::Tensor& bernoulli_(at::Tensor& self, double p, std::optional<at::Generator> generator) {
  const bool random = p > 0 && p < 1;
  if (!random || !is_half(self) || !self.is_non_overlapping_and_dense()) {
    return at::cpu::bernoulli_(self, p, generator);
  }
  const auto zeros = static_cast<std::uint32_t>((1 - p) * 0x1p32);
  kernels::bernoulli(
      {half_format(self), self.numel(), next_key(generator), zeros, mutable_half_data(self)});
  return self;
}

void install_bernoulli(torch::Library& library) { library.impl("bernoulli_.float", bernoulli_); }

const OverrideRegistration kBernoulli{{"bernoulli", install_bernoulli}};

}  // namespace
}  // namespace halftone::ops
