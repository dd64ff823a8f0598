#include "halftone/kernels/activation/activation.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gelu_backward_cpu_dispatch.h>
#include <ATen/ops/gelu_cpu_dispatch.h>
#include <ATen/ops/silu_backward_cpu_dispatch.h>
#include <ATen/ops/silu_cpu_dispatch.h>

#include "halftone/ops/overrides/half_tensor.h"
#include "halftone/ops/overrides/override.h"

namespace halftone::ops {
namespace {

using at::Tensor;
using kernels::ActivationFunction;

// Another name is an error, which is LibTorch's to tell.
bool is_gelu_form(c10::string_view approximate) {
  return approximate == "none" || approximate == "tanh";
}

ActivationFunction gelu_form(c10::string_view approximate) {
  return approximate == "tanh" ? ActivationFunction::gelu_tanh : ActivationFunction::gelu;
}

bool activation_fits(const Tensor& self) {
  return is_half(self) && self.is_non_overlapping_and_dense();
}

// Element by element in memory, so the layouts have to be the same.
bool activation_backward_fits(const Tensor& grad, const Tensor& self) {
  return activation_fits(self) && grad.scalar_type() == self.scalar_type() &&
         grad.sizes() == self.sizes() && grad.strides() == self.strides();
}

void activate(ActivationFunction activation, const Tensor& self, const Tensor& out) {
  kernels::activation(
      {activation, half_format(self), self.numel(), half_data(self), mutable_half_data(out)});
}

Tensor activated(ActivationFunction activation, const Tensor& self) {
  Tensor out = at::empty_like(self);
  activate(activation, self, out);
  return out;
}

Tensor activated_backward(ActivationFunction activation, const Tensor& grad, const Tensor& self) {
  Tensor out = at::empty_like(self);
  kernels::activation_backward({activation, half_format(self), self.numel(), half_data(grad),
                                half_data(self), mutable_half_data(out)});
  return out;
}

Tensor gelu(const Tensor& self, c10::string_view approximate) {
  if (!activation_fits(self) || !is_gelu_form(approximate)) return at::cpu::gelu(self, approximate);
  return activated(gelu_form(approximate), self);
}

Tensor& gelu_(Tensor& self, c10::string_view approximate) {
  if (!activation_fits(self) || !is_gelu_form(approximate)) {
    return at::cpu::gelu_(self, approximate);
  }
  activate(gelu_form(approximate), self, self);
  return self;
}

Tensor gelu_backward(const Tensor& grad, const Tensor& self, c10::string_view approximate) {
  if (!activation_backward_fits(grad, self) || !is_gelu_form(approximate)) {
    return at::cpu::gelu_backward(grad, self, approximate);
  }
  return activated_backward(gelu_form(approximate), grad, self);
}

void install_gelu(torch::Library& library) {
  library.impl("gelu", gelu);
  library.impl("gelu_", gelu_);
  library.impl("gelu_backward", gelu_backward);
}

Tensor silu(const Tensor& self) {
  return activation_fits(self) ? activated(ActivationFunction::silu, self) : at::cpu::silu(self);
}

Tensor& silu_(Tensor& self) {
  if (!activation_fits(self)) return at::cpu::silu_(self);
  activate(ActivationFunction::silu, self, self);
  return self;
}

Tensor silu_backward(const Tensor& grad, const Tensor& self) {
  return activation_backward_fits(grad, self)
             ? activated_backward(ActivationFunction::silu, grad, self)
             : at::cpu::silu_backward(grad, self);
}

void install_silu(torch::Library& library) {
  library.impl("silu", silu);
  library.impl("silu_", silu_);
  library.impl("silu_backward", silu_backward);
}

const OverrideRegistration kGelu{{"gelu", install_gelu}};
const OverrideRegistration kSilu{{"silu", install_silu}};

}  // namespace
}  // namespace halftone::ops
