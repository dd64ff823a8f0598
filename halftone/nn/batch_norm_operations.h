// The operations halftone::batch_norm_relu_forward and _backward, called through the dispatcher.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <optional>
#include <tuple>

#include "halftone/nn/batch_norm_function.h"

namespace halftone::nn {

// mean, invstd: [channels] in fp32, of the batch; undefined in evaluation.
struct FusedResult {
  at::Tensor y, mean, invstd;
};

// relu(batch_norm(x) + residual) without gradients, for half x of four dimensions that
// ops::batch_norm_takes(). Moves the running statistics in training.
FusedResult call_batch_norm_relu_forward(const at::Tensor& x,
                                         const std::optional<at::Tensor>& residual,
                                         const std::optional<at::Tensor>& weight,
                                         const std::optional<at::Tensor>& bias,
                                         const std::optional<at::Tensor>& running_mean,
                                         const std::optional<at::Tensor>& running_var,
                                         bool training, double momentum, double eps);

// Gradients of x, residual, weight and bias, those that are wanted. y: forward's where there was a
// residual, else nothing: x then tells where ReLU let through.
std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> call_batch_norm_relu_backward(
    const at::Tensor& gradient, const at::Tensor& x, const std::optional<at::Tensor>& y,
    const std::optional<at::Tensor>& weight, const std::optional<at::Tensor>& bias,
    const std::optional<at::Tensor>& running_mean, const std::optional<at::Tensor>& running_var,
    const std::optional<at::Tensor>& mean, const std::optional<at::Tensor>& invstd, bool training,
    double eps, std::array<bool, 4> wanted);

// relu(batch_norm(x) + residual) from the statistics that a call has found (or, in evaluation, the
// running ones): its y, bit for bit. residual: undefined for none. Moves nothing.
at::Tensor batch_norm_relu_again(const at::Tensor& x, const at::Tensor& residual,
                                 const FusedNorm& norm, const at::Tensor& mean,
                                 const at::Tensor& invstd);

}  // namespace halftone::nn
