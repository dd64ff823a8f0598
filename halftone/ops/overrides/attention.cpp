#include <ATen/core/Tensor.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward_cpu_dispatch.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_cpu_dispatch.h>

#include <optional>
#include <tuple>

#include "halftone/ops/overrides/half_tensor.h"
#include "halftone/ops/overrides/override.h"

namespace halftone::ops {
namespace {

using at::Tensor;

// LibTorch's blocked attention multiplies fp16 without vectors: forward at 0.6, backward at 0.1 to
// 0.3 of its speed in fp32 (AVX-512, no AMX). fp16 goes through its fp32 kernel; bf16 stays.
bool attends_in_fp32(const Tensor& query) {
  return query.scalar_type() == at::kHalf && query.numel() > 0;
}

std::tuple<Tensor, Tensor> attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                     double dropout, bool causal, const std::optional<Tensor>& mask,
                                     std::optional<double> scale) {
  if (!attends_in_fp32(query) || key.scalar_type() != at::kHalf ||
      value.scalar_type() != at::kHalf) {
    return at::cpu::_scaled_dot_product_flash_attention_for_cpu(query, key, value, dropout, causal,
                                                                mask, scale);
  }
  const auto wide_mask = mask && mask->defined() && mask->scalar_type() == at::kHalf
                             ? std::optional(mask->to(at::kFloat))
                             : mask;
  auto [output, log_sum] = at::cpu::_scaled_dot_product_flash_attention_for_cpu(
      query.to(at::kFloat), key.to(at::kFloat), value.to(at::kFloat), dropout, causal, wide_mask,
      scale);
  return {output.to(at::kHalf), log_sum};
}

std::tuple<Tensor, Tensor, Tensor> attention_backward(
    const Tensor& grad_output, const Tensor& query, const Tensor& key, const Tensor& value,
    const Tensor& output, const Tensor& log_sum, double dropout, bool causal,
    const std::optional<Tensor>& mask, std::optional<double> scale) {
  if (!attends_in_fp32(query)) {
    return at::cpu::_scaled_dot_product_flash_attention_for_cpu_backward(
        grad_output, query, key, value, output, log_sum, dropout, causal, mask, scale);
  }
  const auto wide = [](const Tensor& tensor) { return tensor.to(at::kFloat); };
  const auto wide_mask = mask && mask->defined() && mask->scalar_type() == at::kHalf
                             ? std::optional(mask->to(at::kFloat))
                             : mask;
  auto [dq, dk, dv] = at::cpu::_scaled_dot_product_flash_attention_for_cpu_backward(
      wide(grad_output), wide(query), wide(key), wide(value), wide(output), wide(log_sum), dropout,
      causal, wide_mask, scale);
  return {dq.to(at::kHalf), dk.to(at::kHalf), dv.to(at::kHalf)};
}

void install_attention(torch::Library& library) {
  library.impl("_scaled_dot_product_flash_attention_for_cpu", attention);
  library.impl("_scaled_dot_product_flash_attention_for_cpu_backward", attention_backward);
}

const OverrideRegistration kAttention{{"attention", install_attention}};

}  // namespace
}  // namespace halftone::ops
