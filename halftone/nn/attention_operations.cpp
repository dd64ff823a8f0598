#include "halftone/nn/attention_operations.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include "halftone/ops/attention_ops.h"
#include "halftone/ops/overrides/own_or_stock.h"

namespace halftone::nn {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<at::Tensor>;
using AttentionResult = std::tuple<Tensor, Tensor>;
using ProjectionGradients = std::tuple<Tensor, Tensor, Tensor>;

// (N, T, C) as (N, heads, T, C / heads).
Tensor one_in_heads(const Tensor& x, std::int64_t heads) {
  return x.view({x.size(0), x.size(1), heads, x.size(2) / heads}).transpose(1, 2);
}

std::int64_t width_of(const Projections& p) {
  return p.second ? p.first.size(2) : p.first.size(2) / 3;
}

AttentionResult attention_outputs(const Projections& p, std::int64_t heads) {
  const std::int64_t n = p.first.size(0), rows = p.first.size(1);
  return {at::empty({n, rows, width_of(p)}, p.first.options()),
          at::empty({n, heads, rows}, p.first.options().dtype(at::kFloat))};
}

Projections like(const Projections& p) {
  const auto same = [](const OptionalTensor& tensor) {
    return tensor ? OptionalTensor(at::empty_like(*tensor)) : std::nullopt;
  };
  return {at::empty_like(p.first), same(p.second), same(p.third)};
}

// An operation returns no undefined tensors.
ProjectionGradients returned(const Projections& p) {
  const auto or_empty = [&](const OptionalTensor& tensor) {
    return tensor ? *tensor : at::empty({0}, p.first.options());
  };
  return {p.first, or_empty(p.second), or_empty(p.third)};
}

AttentionResult attention_forward_meta(const Tensor& first, const OptionalTensor& second,
                                       const OptionalTensor& third, const OptionalTensor&,
                                       std::int64_t heads, bool) {
  return attention_outputs({first, second, third}, heads);
}

ProjectionGradients attention_backward_meta(const Tensor&, const Tensor& first,
                                            const OptionalTensor& second,
                                            const OptionalTensor& third, const OptionalTensor&,
                                            const Tensor&, const Tensor&, std::int64_t, bool) {
  return returned(like({first, second, third}));
}

AttentionResult attention_forward_cpu(const Tensor& first, const OptionalTensor& second,
                                      const OptionalTensor& third, const OptionalTensor& bias,
                                      std::int64_t heads, bool causal) {
  const Projections projections{first, second, third};
  const auto [q, k, v] = projections.heads(heads);
  const ops::AttentionCall call{q, k, v, bias, causal};
  TORCH_CHECK(ops::attention_takes(call),
              "halftone::attention_forward: expected projections of one half format and a bias of "
              "the scores' sizes, got ",
              first.toString(), " ", first.sizes());
  const AttentionResult result = attention_outputs(projections, heads);
  const auto& [y, log_sum] = result;
  const auto own = [&] {
    ops::run_attention(call, one_in_heads(y, heads), log_sum);
    return result;
  };
  return ops::own_or_stock("attention", own, [&]() -> AttentionResult {
    auto found = at::_scaled_dot_product_flash_attention_for_cpu(q, k, v, 0, causal, bias);
    return {std::get<0>(found).transpose(1, 2).flatten(2), std::get<1>(found)};
  });
}

ProjectionGradients attention_backward_cpu(const Tensor& gradient, const Tensor& first,
                                           const OptionalTensor& second,
                                           const OptionalTensor& third, const OptionalTensor& bias,
                                           const Tensor& y, const Tensor& log_sum,
                                           std::int64_t heads, bool causal) {
  const Projections projections{first, second, third};
  const auto [q, k, v] = projections.heads(heads);
  const ops::AttentionCall call{q, k, v, bias, causal};
  TORCH_CHECK(ops::attention_takes(call) && gradient.sizes() == y.sizes() &&
                  gradient.scalar_type() == y.scalar_type(),
              "halftone::attention_backward: expected tensors as forward took and gave them, got a "
              "gradient of ",
              gradient.toString(), " ", gradient.sizes(), " for ", y.toString(), " ", y.sizes());
  const Projections gradients = like(projections);
  const auto [dq, dk, dv] = gradients.heads(heads);
  const Tensor output = one_in_heads(y, heads);
  const Tensor given = one_in_heads(gradient.contiguous(), heads);
  const auto own = [&] {
    ops::run_attention_backward(call, {output, log_sum}, given, {dq, dk, dv});
    return returned(gradients);
  };
  return ops::own_or_stock("attention", own, [&] {
    const auto found = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        given, q, k, v, output, log_sum, 0, causal, bias);
    dq.copy_(std::get<0>(found)), dk.copy_(std::get<1>(found)), dv.copy_(std::get<2>(found));
    return returned(gradients);
  });
}

template <class Function>
const auto& attention_operation(const char* name) {
  static const auto handle =
      c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Function>();
  return handle;
}

}  // namespace

std::array<Tensor, 3> Projections::heads(std::int64_t count) const {
  const std::int64_t width = width_of(*this);
  const auto part = [&](const Tensor& x, std::int64_t index) {
    const Tensor one = x.size(2) == width ? x : x.slice(2, index * width, (index + 1) * width);
    return one_in_heads(one, count);
  };
  if (!second) return {part(first, 0), part(first, 1), part(first, 2)};
  return {part(first, 0), part(*second, 0), third ? part(*third, 0) : part(*second, 1)};
}

AttentionResult call_attention_forward(const Projections& p, const OptionalTensor& bias,
                                       std::int64_t heads, bool causal) {
  return attention_operation<decltype(attention_forward_cpu)>("halftone::attention_forward")
      .call(p.first, p.second, p.third, bias, heads, causal);
}

ProjectionGradients call_attention_backward(const Tensor& gradient, const Projections& p,
                                            const OptionalTensor& bias, const Tensor& y,
                                            const Tensor& log_sum, std::int64_t heads,
                                            bool causal) {
  return attention_operation<decltype(attention_backward_cpu)>("halftone::attention_backward")
      .call(gradient, p.first, p.second, p.third, bias, y, log_sum, heads, causal);
}

TORCH_LIBRARY_FRAGMENT(halftone, m) {
  m.def(
      "attention_forward(Tensor first, Tensor? second, Tensor? third, Tensor? bias, int heads, "
      "bool causal) -> (Tensor y, Tensor log_sum)");
  m.def(
      "attention_backward(Tensor gradient, Tensor first, Tensor? second, Tensor? third, Tensor? "
      "bias, Tensor y, Tensor log_sum, int heads, bool causal) -> (Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(halftone, CPU, m) {
  m.impl("attention_forward", attention_forward_cpu);
  m.impl("attention_backward", attention_backward_cpu);
}

TORCH_LIBRARY_IMPL(halftone, Meta, m) {
  m.impl("attention_forward", attention_forward_meta);
  m.impl("attention_backward", attention_backward_meta);
}

}  // namespace halftone::nn
