// The update rules by LibTorch's tensor arithmetic: other devices, odd layouts, fp64, and the
// reference of the kernels' tests. Operation by operation what kernels/optimizer/steps.inl.h does;
// products and sums are kept apart because LibTorch's add with alpha fuses them.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "halftone/kernels/optimizer/rounding.h"
#include "halftone/ops/optimizer_ops.h"

namespace halftone::ops {
namespace {

using kernels::UpdateRule;
using kernels::WeightKind;

constexpr std::int64_t kLow32 = 0xffffffff;

at::Tensor shifted(const at::Tensor& x, std::int64_t bits) {
  return at::bitwise_right_shift(x, at::Scalar(bits));
}

// The low 32 bits of a product, in halves so that no 64-bit product overflows.
at::Tensor product32(const at::Tensor& x, std::int64_t factor) {
  const auto upper = at::bitwise_and(at::mul(x, factor >> 16), 0xffff);
  return at::bitwise_and(at::add(at::mul(x, factor & 0xffff), at::mul(upper, 0x10000)), kLow32);
}

at::Tensor hash32(at::Tensor x) {
  x = at::bitwise_xor(x, shifted(x, 16));
  x = product32(x, 0x7feb352d);
  x = at::bitwise_xor(x, shifted(x, 15));
  x = product32(x, 0x846ca68b);
  return at::bitwise_xor(x, shifted(x, 16));
}

// kernels::draw for each element, counted in memory order where the tensor is dense.
at::Tensor draws(const at::Tensor& like, std::uint64_t key) {
  auto index = at::arange(like.numel(), like.options().dtype(at::kLong));
  index = like.is_non_overlapping_and_dense() ? index.as_strided(like.sizes(), like.strides())
                                              : index.view(like.sizes());
  // Elements beyond 2^32 have a key of their own (kernels::range_key).
  const auto page = shifted(index, 32);
  const std::int64_t pages = like.numel() == 0 ? 0 : (like.numel() - 1) >> 32;
  at::Tensor result;
  for (std::int64_t p = 0; p <= pages; ++p) {
    const std::uint64_t own = kernels::range_key(key, p << 32);
    auto x =
        at::bitwise_xor(at::bitwise_and(index, kLow32), static_cast<std::int64_t>(own & kLow32));
    x = hash32(at::bitwise_xor(hash32(x), static_cast<std::int64_t>(own >> 32)));
    result = p == 0 ? x : at::where(page == p, x, result);
  }
  return result;
}

at::Tensor float_from_bits(const at::Tensor& bits) { return bits.to(at::kInt).view(at::kFloat); }

// kernels::stochastic_half, tensor by tensor.
at::Tensor stochastic_half(const at::Tensor& value, c10::ScalarType type,
                           const at::Tensor& random) {
  const auto bits = at::bitwise_and(value.view(at::kInt).to(at::kLong), kLow32);
  const auto magnitude = at::bitwise_and(bits, 0x7fffffff);
  if (type == at::kBFloat16) {
    const auto sum = at::bitwise_and(shifted(bits + shifted(random, 16), 16), 0xffff);
    const auto code = at::where(magnitude > 0x7f800000, at::full_like(sum, 0x7fc0), sum);
    return code.to(at::kShort).view(at::kBFloat16);
  }
  const auto tiny = magnitude < 0x38800000;
  const auto cut = at::bitwise_and(bits + shifted(random, 19), kLow32 - 0x1fff);
  const auto normal = float_from_bits(at::where(magnitude < 0x7f800000, cut, bits)).to(at::kHalf);
  const auto small = at::where(tiny, float_from_bits(magnitude), 0.0f);
  const auto steps = shifted(at::mul(small, 0x1p45).to(at::kLong) + shifted(random, 11), 21);
  const auto sign = at::bitwise_and(shifted(bits, 16), 0x8000);
  const auto subnormal = at::bitwise_or(sign, steps).to(at::kShort).view(at::kHalf);
  return at::where(tiny, subnormal, normal);
}

double kahan_scale(const at::Tensor& weight) {
  return kernels::kahan_scale(weight.scalar_type() == at::kHalf ? kernels::Element::fp16
                                                                : kernels::Element::bf16);
}

at::Tensor load_weight(const ParameterUpdate& u) {
  if (u.kind == WeightKind::plain) return u.weight.detach();
  if (u.kind == WeightKind::master) return u.master;
  const auto weight = u.weight.detach().to(at::kFloat);
  if (u.kind == WeightKind::stochastic) return weight;
  return weight + u.compensation.to(at::kFloat) * (1 / kahan_scale(u.weight));
}

void store_weight(const ParameterUpdate& u, const at::Tensor& value) {
  auto weight = u.weight.detach();  // shares the version counter
  if (u.kind == WeightKind::stochastic) {
    weight.copy_(stochastic_half(value, weight.scalar_type(), draws(weight, u.key)));
    return;
  }
  weight.copy_(value);
  if (u.kind == WeightKind::master) u.master.copy_(value);
  if (u.kind == WeightKind::kahan) {
    u.compensation.copy_((value - weight.to(at::kFloat)) * kahan_scale(weight));
  }
}

at::Tensor step_gradient(const ParameterUpdate& u, const at::Tensor& weight) {
  const Numbers& n = u.numbers;
  auto g = u.gradient.detach().to(weight.scalar_type()) * n.gradient_scale;
  if (std::isfinite(n.clip_value)) g = at::clamp(g, -n.clip_value, n.clip_value);
  return n.l2 == 0 ? g : g + weight * n.l2;
}

at::Tensor sgd(const ParameterUpdate& u, const at::Tensor& weight) {
  const Numbers& n = u.numbers;
  auto g = step_gradient(u, weight);
  if (n.momentum != 0) {
    auto b = n.first ? g : u.state[0] * n.momentum + g * n.undampened;
    u.state[0].copy_(b);
    g = n.nesterov ? g + b * n.momentum : b;
  }
  return weight - g * n.step_size;
}

void update_moments(const ParameterUpdate& u, const at::Tensor& g) {
  const Numbers& n = u.numbers;
  u.state[0].copy_(u.state[0] + (g - u.state[0]) * n.one_minus_beta1);
  u.state[1].copy_(u.state[1] * n.beta2 + g * n.one_minus_beta2 * g);
  if (u.state[2].defined()) u.state[2].copy_(at::maximum(u.state[2], u.state[1]));
}

// Correctly rounded, as the kernels': LibTorch's fp32 square root on the CPU is MKL's, which is
// not.
at::Tensor square_root(const at::Tensor& v) {
  return v.is_cpu() ? at::sqrt(v.to(at::kDouble)).to(v.scalar_type()) : at::sqrt(v);
}

at::Tensor denominator(const ParameterUpdate& u) {
  const auto& v = u.state[2].defined() ? u.state[2] : u.state[1];
  return square_root(v) * u.numbers.root_correction + u.numbers.eps;
}

at::Tensor direction(const ParameterUpdate& u, const at::Tensor& weight) {
  return u.state[0] * u.numbers.correction / denominator(u) + weight * u.numbers.decay;
}

double length_of(const at::Tensor& tensor) {
  return at::linalg_vector_norm(tensor, 2, at::OptionalIntArrayRef{}, false, at::kDouble)
      .item<double>();
}

}  // namespace

DirectionNorms update_with_tensors(const ParameterUpdate& u) {
  const c10::NoGradGuard no_grad;
  const Numbers& n = u.numbers;
  const auto weight = load_weight(u);
  switch (u.rule) {
    case UpdateRule::sgd:
      store_weight(u, sgd(u, weight));
      break;
    case UpdateRule::adam:
      update_moments(u, step_gradient(u, weight));
      store_weight(u, weight * n.keep - u.state[0] * n.step_size / denominator(u));
      break;
    case UpdateRule::lamb_direction:
      update_moments(u, step_gradient(u, weight));
      return {length_of(weight), length_of(direction(u, weight))};
    case UpdateRule::lamb_apply:
      store_weight(u, weight - direction(u, weight) * n.step_size);
      break;
  }
  return {};
}

}  // namespace halftone::ops
