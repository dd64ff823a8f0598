// Batch normalisation fused with what follows it in a residual network: one operation forward and
// backward, which keeps less for backward than the operations one by one.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/batchnorm.h>

#include "halftone/base/export.h"
#include "halftone/nn/adopted.h"

namespace halftone::nn {

// What both have in common with torch::nn::BatchNorm2d: options, parameters (weight, bias), buffers
// (running_mean, running_var, num_batches_tracked), errors, behaviour in training and evaluation,
// also under Autocast. Half CPU tensors of (N, C, H, W), contiguous or channels_last, take the
// fused kernels (parameters in fp32 or the input's format); everything else, and a layer or
// "batch_norm" that the policy of the Autocast in force names, takes LibTorch's operations one by
// one. Kept for backward: x, fp32 mean and invstd, and for the second form y, or nothing more where
// the residual is the y of another such block: of a chain each second y. Twice differentiable.
//
// relu(batch_norm(x)). A Conv2d, Linear or MaxPool2d of this namespace that takes the result keeps
// nothing of it: backward computes it again from x.
class HALFTONE_API BatchNormReLUImpl
    : public Adopted<BatchNormReLUImpl, torch::nn::BatchNorm2dImpl> {
 public:
  using Adopted::Adopted;
  at::Tensor forward(const at::Tensor& x);
};
TORCH_MODULE(BatchNormReLU);

// relu(batch_norm(x) + residual); residual: of x's shape.
class HALFTONE_API BatchNormAddReLUImpl
    : public Adopted<BatchNormAddReLUImpl, torch::nn::BatchNorm2dImpl> {
 public:
  using Adopted::Adopted;
  at::Tensor forward(const at::Tensor& x, const at::Tensor& residual);
};
TORCH_MODULE(BatchNormAddReLU);

}  // namespace halftone::nn
