#include "halftone/kernels/attention/attention.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward_cpu_dispatch.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_cpu_dispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <cmath>
#include <optional>
#include <tuple>

#include "halftone/ops/overrides/half_tensor.h"
#include "halftone/ops/overrides/override.h"
#include "halftone/ops/overrides/own_or_stock.h"

namespace halftone::ops {
namespace {

using at::Tensor;
using OptionalMask = std::optional<Tensor>;

bool given(const OptionalMask& mask) { return mask && mask->defined(); }

// One that LibTorch takes: fp32 or the query's format, 2-d or 4-d, each size 1 or the scores'.
bool mask_fits(const OptionalMask& mask, const Tensor& query, const Tensor& key) {
  if (!given(mask)) return true;
  if (mask->scalar_type() != at::kFloat && mask->scalar_type() != query.scalar_type()) return false;
  if (mask->dim() != 2 && mask->dim() != 4) return false;
  const std::int64_t sizes[] = {query.size(0), query.size(1), query.size(2), key.size(2)};
  for (std::int64_t d = 1; d <= mask->dim(); ++d) {
    if (mask->size(-d) != 1 && mask->size(-d) != sizes[4 - d]) return false;
  }
  return true;
}

// What the kernel takes; the rest, errors included, is LibTorch's. Fewer heads of key and value
// than of the query arrive as they are (enable_gqa), boolean masks as numbers.
bool attention_fits(const Tensor& query, const Tensor& key, const Tensor& value, double dropout,
                    const OptionalMask& mask) {
  if (!is_half(query) || !is_half(key) || !is_half(value) || dropout != 0) return false;
  if (key.scalar_type() != query.scalar_type() || value.scalar_type() != query.scalar_type()) {
    return false;
  }
  return query.dim() == 4 && key.dim() == 4 && key.sizes() == value.sizes() &&
         key.size(0) == query.size(0) && query.size(1) % key.size(1) == 0 &&
         key.size(3) == query.size(3) && query.size(3) <= kernels::kWidestHead &&
         mask_fits(mask, query, key);
}

// Elements of a head side by side, as LibTorch's kernel assumes them to be.
Tensor dense_heads(const Tensor& tensor) {
  return tensor.stride(3) == 1 || tensor.size(3) == 1 ? tensor : tensor.contiguous();
}

template <class T>
kernels::AttentionTensor<T> strided(T* data, const Tensor& tensor) {
  return {data, tensor.stride(0), tensor.stride(1), tensor.stride(2)};
}
kernels::AttentionInput input_of(const Tensor& tensor) {
  return strided(half_data(tensor), tensor);
}
kernels::AttentionOutput output_of(const Tensor& tensor) {
  return strided(mutable_half_data(tensor), tensor);
}

kernels::AttentionMask mask_of(const OptionalMask& mask) {
  if (!given(mask)) return {};
  const auto stride = [&](std::int64_t d) {
    return d <= mask->dim() && mask->size(-d) != 1 ? mask->stride(-d) : 0;
  };
  return {mask->scalar_type() == at::kFloat ? kernels::AttentionMaskKind::fp32
                                            : kernels::AttentionMaskKind::half,
          mask->const_data_ptr(),
          stride(4),
          stride(3),
          stride(2),
          stride(1)};
}

kernels::AttentionProblem problem_of(const Tensor& query, const Tensor& key, const Tensor& value,
                                     bool causal, const OptionalMask& mask,
                                     std::optional<double> scale) {
  const double factor = scale ? *scale : 1 / std::sqrt(static_cast<double>(query.size(3)));
  return {half_format(query),
          {query.size(0), query.size(1), key.size(1), query.size(2), key.size(2), query.size(3)},
          causal,
          static_cast<float>(factor),
          input_of(query),
          input_of(key),
          input_of(value),
          mask_of(mask)};
}

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
  return given(mask) && mask->scalar_type() == at::kHalf ? OptionalMask(mask->to(at::kFloat))
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
  if (!attention_fits(query, key, value, dropout, mask)) return stock();
  const auto own = [&]() -> Attended {
    const Tensor q = dense_heads(query), k = dense_heads(key), v = dense_heads(value);
    const Tensor output = at::empty_like(query);
    const Tensor log_sum =
        at::empty({query.size(0), query.size(2), query.size(1)}, query.options().dtype(at::kFloat))
            .transpose(1, 2);
    kernels::attention({problem_of(q, k, v, causal, mask, scale), output_of(output),
                        strided(log_sum.mutable_data_ptr<float>(), log_sum)});
    return {output, log_sum};
  };
  return own_or_stock("attention", own, stock);
}

using AttentionGradients = std::tuple<Tensor, Tensor, Tensor>;

AttentionGradients stock_attention_backward(const Tensor& grad_output, const Tensor& query,
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

AttentionGradients attention_backward(const Tensor& grad_output, const Tensor& query,
                                      const Tensor& key, const Tensor& value, const Tensor& output,
                                      const Tensor& log_sum, double dropout, bool causal,
                                      const OptionalMask& mask, std::optional<double> scale) {
  const auto stock = [&] {
    return stock_attention_backward(grad_output, query, key, value, output, log_sum, dropout,
                                    causal, mask, scale);
  };
  const bool fits =
      grad_output.defined() && attention_fits(query, key, value, dropout, mask) &&
      grad_output.scalar_type() == query.scalar_type() && grad_output.sizes() == query.sizes() &&
      output.scalar_type() == query.scalar_type() && output.sizes() == query.sizes() &&
      log_sum.scalar_type() == at::kFloat && log_sum.sizes() == query.sizes().slice(0, 3);
  if (!fits) return stock();
  const auto own = [&]() -> AttentionGradients {
    const Tensor g = dense_heads(grad_output), q = dense_heads(query), k = dense_heads(key),
                 v = dense_heads(value), o = dense_heads(output);
    const Tensor dq = empty_turned(query), dk = empty_turned(key), dv = empty_turned(value);
    kernels::attention_backward({problem_of(q, k, v, causal, mask, scale), input_of(g), input_of(o),
                                 strided(log_sum.const_data_ptr<float>(), log_sum), output_of(dq),
                                 output_of(dk), output_of(dv)});
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
