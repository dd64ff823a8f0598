#include <ATen/core/Tensor.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward_cpu_dispatch.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_cpu_dispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <optional>
#include <tuple>

#include "halftone/ops/attention_ops.h"
#include "halftone/ops/overrides/override.h"
#include "halftone/ops/overrides/own_or_stock.h"

namespace halftone::ops {
namespace {

using at::Tensor;
using OptionalMask = std::optional<Tensor>;

// [batch][heads][rows][width] that lies as [batch][rows][heads][width], as LibTorch's gradients.
Tensor empty_turned(const Tensor& like) {
  return at::empty({like.size(0), like.size(2), like.size(1), like.size(3)}, like.options())
      .transpose(1, 2);
}

// For what the kernel doesn't take in fp16: LibTorch's blocked attention multiplies it without
// vectors, forward at 0.6, backward at 0.1 to 0.3 of its speed in fp32 (AVX-512, no AMX).
bool attends_in_fp32(const Tensor& query, const Tensor& key, const Tensor& value) {
  return query.scalar_type() == at::kHalf && query.numel() > 0 && key.scalar_type() == at::kHalf &&
         value.scalar_type() == at::kHalf;
}

Tensor widened(const Tensor& tensor) { return tensor.to(at::kFloat); }

OptionalMask widened(const OptionalMask& mask) {
  return mask && mask->defined() && mask->scalar_type() == at::kHalf
             ? OptionalMask(mask->to(at::kFloat))
             : mask;
}

using Attended = std::tuple<Tensor, Tensor>;

Attended stock_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                         double dropout, bool causal, const OptionalMask& mask,
                         std::optional<double> scale) {
  if (!attends_in_fp32(query, key, value)) {
    return at::cpu::_scaled_dot_product_flash_attention_for_cpu(query, key, value, dropout, causal,
                                                                mask, scale);
  }
  auto [output, log_sum] = at::cpu::_scaled_dot_product_flash_attention_for_cpu(
      widened(query), widened(key), widened(value), dropout, causal, widened(mask), scale);
  return {output.to(at::kHalf), log_sum};
}

Attended attention(const Tensor& query, const Tensor& key, const Tensor& value, double dropout,
                   bool causal, const OptionalMask& mask, std::optional<double> scale) {
  const auto stock = [&] {
    return stock_attention(query, key, value, dropout, causal, mask, scale);
  };
  const AttentionCall call{query, key, value, mask, causal, scale};
  if (dropout != 0 || !attention_takes(call)) return stock();
  const auto own = [&]() -> Attended {
    const bool dense = query.stride(3) == 1 || query.size(3) == 1;
    const Tensor output = dense ? at::empty_like(query) : at::empty(query.sizes(), query.options());
    const Tensor log_sum =
        at::empty({query.size(0), query.size(2), query.size(1)}, query.options().dtype(at::kFloat))
            .transpose(1, 2);
    run_attention(call, output, log_sum);
    return {output, log_sum};
  };
  return own_or_stock("attention", own, stock);
}

using GradientTensors = std::tuple<Tensor, Tensor, Tensor>;

GradientTensors stock_attention_backward(const Tensor& grad_output, const Tensor& query,
                                         const Tensor& key, const Tensor& value,
                                         const Tensor& output, const Tensor& log_sum,
                                         double dropout, bool causal, const OptionalMask& mask,
                                         std::optional<double> scale) {
  if (!attends_in_fp32(query, key, value) || !grad_output.defined()) {
    return at::cpu::_scaled_dot_product_flash_attention_for_cpu_backward(
        grad_output, query, key, value, output, log_sum, dropout, causal, mask, scale);
  }
  auto [dq, dk, dv] = at::cpu::_scaled_dot_product_flash_attention_for_cpu_backward(
      widened(grad_output), widened(query), widened(key), widened(value), widened(output),
      widened(log_sum), dropout, causal, widened(mask), scale);
  return {dq.to(at::kHalf), dk.to(at::kHalf), dv.to(at::kHalf)};
}

GradientTensors attention_backward(const Tensor& grad_output, const Tensor& query,
                                   const Tensor& key, const Tensor& value, const Tensor& output,
                                   const Tensor& log_sum, double dropout, bool causal,
                                   const OptionalMask& mask, std::optional<double> scale) {
  const auto stock = [&] {
    return stock_attention_backward(grad_output, query, key, value, output, log_sum, dropout,
                                    causal, mask, scale);
  };
  // Fewer heads of key and value than of the query arrive as they are (enable_gqa), boolean masks
  // as numbers.
  const AttentionCall call{query, key, value, mask, causal, scale};
  const bool fits =
      grad_output.defined() && dropout == 0 && attention_takes(call) &&
      grad_output.scalar_type() == query.scalar_type() && grad_output.sizes() == query.sizes() &&
      output.scalar_type() == query.scalar_type() && output.sizes() == query.sizes() &&
      log_sum.scalar_type() == at::kFloat && log_sum.sizes() == query.sizes().slice(0, 3);
  if (!fits) return stock();
  const auto own = [&]() -> GradientTensors {
    const Tensor dq = empty_turned(query), dk = empty_turned(key), dv = empty_turned(value);
    run_attention_backward(call, {output, log_sum}, grad_output, {dq, dk, dv});
    return {dq, dk, dv};
  };
  return own_or_stock("attention", own, stock);
}

void install_attention(torch::Library& library) {
  library.impl("_scaled_dot_product_flash_attention_for_cpu", attention);
  library.impl("_scaled_dot_product_flash_attention_for_cpu_backward", attention_backward);
}

const OverrideRegistration kAttention{{"attention", install_attention}};

}  // namespace
}  // namespace halftone::ops
