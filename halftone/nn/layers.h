// LibTorch's layers that keep less for backward. Each has the options, parameters, names and
// results of the module of torch::nn that it is called after, bit for bit, and twice
// differentiable, and can be made from such a module, whose tensors it then shares.
//
// A layer usually keeps its input. Where that is what BatchNormReLU, LayerNorm or GELU gave,
// those here keep how to compute it again instead, in one pass over memory, from what the operation
// before keeps anyway (recipe.h): under Autocast where the input need not be cast, with hooks on
// saved tensors not at all.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/modules/pooling.h>

#include <string>

#include "halftone/base/export.h"
#include "halftone/nn/adopted.h"
#include "halftone/nn/batch_norm.h"

namespace halftone::nn {

// (N, C, H, W) or (C, H, W).
class HALFTONE_API Conv2dImpl : public Adopted<Conv2dImpl, torch::nn::Conv2dImpl> {
 public:
  using Adopted::Adopted;
  at::Tensor forward(const at::Tensor& x);
};
TORCH_MODULE(Conv2d);

// (..., in_features). Calls at::linear, so that a policy and Autocast's cache of cast weights
// recognise the weight.
class HALFTONE_API LinearImpl : public Adopted<LinearImpl, torch::nn::LinearImpl> {
 public:
  using Adopted::Adopted;
  at::Tensor forward(const at::Tensor& x);
};
TORCH_MODULE(Linear);

// gelu(linear(x)); parameters: Linear's. Keeps x (unless it can be computed again) and
// z = linear(x); a Linear that follows computes gelu(z) again, one pass over memory. To compute z
// again, too, would save as much and take a fourth product where forward and backward take three.
class HALFTONE_API LinearGeluImpl : public Adopted<LinearGeluImpl, torch::nn::LinearImpl> {
 public:
  using Adopted::Adopted;
  at::Tensor forward(const at::Tensor& x);
  std::shared_ptr<torch::nn::Module> clone(
      const std::optional<torch::Device>& device = std::nullopt) const override;

  std::string approximate = "none";  // or "tanh": as GELUOptions
};
TORCH_MODULE(LinearGelu);

// (..., normalized_shape). Half CPU tensors, with parameters in fp32 or their format, are summed in
// fp32 and give a tensor of their format, also under Autocast, which casts LibTorch's layer_norm to
// fp32; kept are x, and a mean and an invstd for each normalised group. Other tensors, and a layer
// or "layer_norm" that the policy of the Autocast in force names, take torch::nn::LayerNorm.
class HALFTONE_API LayerNormImpl : public Adopted<LayerNormImpl, torch::nn::LayerNormImpl> {
 public:
  using Adopted::Adopted;
  at::Tensor forward(const at::Tensor& x);
};
TORCH_MODULE(LayerNorm);

// (N, C, H, W). Keeps of the indices as many bytes as a place within a plane takes.
class HALFTONE_API MaxPool2dImpl : public Adopted<MaxPool2dImpl, torch::nn::MaxPool2dImpl> {
 public:
  using Adopted::Adopted;
  at::Tensor forward(const at::Tensor& x);
};
TORCH_MODULE(MaxPool2d);

// relu(bn(conv(x))), (N, in, H, W) -> (N, out, H', W'): children "conv" and "bn". In a chain of
// them each keeps conv(x) alone, half of what the modules one by one keep.
class HALFTONE_API ConvBnReLUImpl : public torch::nn::Module {
 public:
  explicit ConvBnReLUImpl(const torch::nn::Conv2dOptions& options);
  at::Tensor forward(const at::Tensor& x);

  Conv2d conv;
  BatchNormReLU bn;
};
TORCH_MODULE(ConvBnReLU);

}  // namespace halftone::nn
