#include "halftone/kernels/elementwise/elementwise.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/add_cpu_dispatch.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/relu_cpu_dispatch.h>
#include <ATen/ops/threshold_backward_cpu_dispatch.h>

#include "halftone/ops/overrides/half_tensor.h"
#include "halftone/ops/overrides/override.h"

namespace halftone::ops {
namespace {

using at::Tensor;

bool elements_fit(const Tensor& self) {
  return is_half(self) && self.is_non_overlapping_and_dense();
}

// Element by element in memory, so the layouts have to be the same.
bool elements_match(const Tensor& self, const Tensor& other) {
  return elements_fit(self) && self.scalar_type() == other.scalar_type() &&
         other.device().is_cpu() && self.sizes() == other.sizes() &&
         self.strides() == other.strides();
}

void rectify(const Tensor& self, const Tensor& out) {
  kernels::relu({half_format(self), self.numel(), half_data(self), mutable_half_data(out)});
}

Tensor relu(const Tensor& self) {
  if (!elements_fit(self)) return at::cpu::relu(self);
  Tensor out = at::empty_like(self);
  rectify(self, out);
  return out;
}

Tensor& relu_(Tensor& self) {
  if (!elements_fit(self)) return at::cpu::relu_(self);
  rectify(self, self);
  return self;
}

Tensor threshold_backward(const Tensor& grad, const Tensor& self, const at::Scalar& threshold) {
  if (!elements_match(self, grad) || threshold.isComplex() || threshold.toDouble() != 0) {
    return at::cpu::threshold_backward(grad, self, threshold);
  }
  Tensor out = at::empty_like(self);
  kernels::relu_backward(
      {half_format(self), self.numel(), half_data(grad), half_data(self), mutable_half_data(out)});
  return out;
}

void install_relu(torch::Library& library) {
  library.impl("relu", relu);
  library.impl("relu_", relu_);
  library.impl("threshold_backward", threshold_backward);
}

// What overlaps in part is an error in place, and LibTorch's.
bool addends_fit(const Tensor& self, const Tensor& other, const at::Scalar& alpha) {
  return elements_match(self, other) && (alpha.isFloatingPoint() || alpha.isIntegral(false)) &&
         (self.const_data_ptr() == other.const_data_ptr() || !self.is_alias_of(other));
}

void add_to(const Tensor& self, const Tensor& other, const at::Scalar& alpha, const Tensor& out) {
  kernels::add({half_format(self), self.numel(), half_data(self), half_data(other), alpha.toFloat(),
                mutable_half_data(out)});
}

Tensor add(const Tensor& self, const Tensor& other, const at::Scalar& alpha) {
  if (!addends_fit(self, other, alpha)) return at::cpu::add(self, other, alpha);
  Tensor out = at::empty_like(self);
  add_to(self, other, alpha, out);
  return out;
}

Tensor& add_(Tensor& self, const Tensor& other, const at::Scalar& alpha) {
  if (!addends_fit(self, other, alpha)) return at::cpu::add_(self, other, alpha);
  add_to(self, other, alpha, self);
  return self;
}

void install_add(torch::Library& library) {
  library.impl("add.Tensor", add);
  library.impl("add_.Tensor", add_);
}

const OverrideRegistration kRelu{{"relu", install_relu}};
const OverrideRegistration kAdd{{"add", install_add}};

}  // namespace
}  // namespace halftone::ops
