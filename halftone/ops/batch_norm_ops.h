// Half tensors to the kernels of batch normalisation: for the dispatcher's overrides and for the
// fused blocks of nn/.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "halftone/kernels/batch_norm/batch_norm.h"

namespace halftone::ops {

// As at::native_batch_norm, with what may follow it: y = relu(normalised x + residual).
struct BatchNormForward {
  const at::Tensor& input;
  const std::optional<at::Tensor>&weight, &bias, &running_mean, &running_var;
  bool training;
  double momentum, eps;
  at::Tensor residual = {};  // undefined: none
  bool relu = false;
  bool statistics_given = false;  // in training: mean and invstd are read, nothing else moves
};

// The type of the parameters (fp32 or the input's) where the kernels take the case, else nothing.
std::optional<at::ScalarType> batch_norm_takes(const BatchNormForward& call);

// For a call that they take. output: like the input in its suggested memory format. mean, invstd:
// [channels] in fp32 or the input's type; not touched in evaluation. Moves the running statistics,
// unless the batch's are given.
void batch_norm_forward(const BatchNormForward& call, at::ScalarType parameters,
                        const at::Tensor& output, const at::Tensor& mean, const at::Tensor& invstd);

// As at::native_batch_norm_backward, with the mask of a ReLU that followed.
struct BatchNormBackward {
  const at::Tensor &gradient, &input;
  const std::optional<at::Tensor>&weight, &running_mean, &running_var, &mean, &invstd;
  bool training;
  double eps;
  kernels::BatchNormMask mask = kernels::BatchNormMask::none;
  at::Tensor output = {}, bias = {};  // for the masks of these names
};

// Where the results go: undefined ones are not wanted. input, residual: in the memory format that
// the call's input suggests; weight, bias: [channels] of the parameters' type.
struct BatchNormGradients {
  at::Tensor input, weight, bias, residual;
};

void batch_norm_backward(const BatchNormBackward& call, at::ScalarType parameters,
                         const BatchNormGradients& results);

}  // namespace halftone::ops
