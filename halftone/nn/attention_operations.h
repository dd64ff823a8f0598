// The fused operations of attention over projections, as LibTorch's dispatcher knows them
// ("halftone::attention_forward", "halftone::attention_backward"): profilers and monitors see them
// as any other.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <optional>
#include <tuple>

namespace halftone::nn {

// One, two or three tensors that hold query, key and value, (N, T, parts C) each.
struct Projections {
  at::Tensor first;
  std::optional<at::Tensor> second, third;

  // Query, key and value, (N, heads, T, C / heads), as views of the tensors. Of another set of
  // tensors of the same sizes: their gradients.
  std::array<at::Tensor, 3> heads(std::int64_t count) const;
};

// The result (N, rows, C) and the log-sum-exps (N, heads, rows), fp32.
std::tuple<at::Tensor, at::Tensor> call_attention_forward(const Projections& projections,
                                                          const std::optional<at::Tensor>& bias,
                                                          std::int64_t heads, bool causal);

// The gradients of the tensors; those that there are none of are empty.
std::tuple<at::Tensor, at::Tensor, at::Tensor> call_attention_backward(
    const at::Tensor& gradient, const Projections& projections,
    const std::optional<at::Tensor>& bias, const at::Tensor& y, const at::Tensor& log_sum,
    std::int64_t heads, bool causal);

}  // namespace halftone::nn
