// Pieces that the networks share.
#pragma once

#include <ATen/ops/linear.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include "halftone/models/network.h"
#include "halftone/nn/batch_norm.h"

namespace halftone::models {

// A square convolution without bias (a normalisation follows it) that keeps the size at stride 1.
torch::nn::Conv2d conv(std::int64_t in, std::int64_t out, std::int64_t kernel,
                       std::int64_t stride = 1);

// at::linear instead of LinearImpl::forward, which calls addmm on the transposed weight: Autocast
// could then neither recognise the parameter nor keep its cast copy.
inline at::Tensor apply_linear(const torch::nn::Linear& layer, const at::Tensor& x) {
  return at::linear(x, layer->weight, layer->bias);
}

// Convolution, normalisation, ReLU: (N, in, H, W) -> (N, out, H/stride, W/stride).
struct ConvBnImpl : torch::nn::Module {
  ConvBnImpl(std::int64_t in, std::int64_t out, std::int64_t kernel = 3, std::int64_t stride = 1);
  at::Tensor forward(const at::Tensor& x);

  torch::nn::Conv2d conv;
  nn::BatchNormReLU bn;
};
TORCH_MODULE(ConvBn);

// The ImageNet stem's pool, 3x3 with stride 2: halves the size, rounded up.
at::Tensor stem_pool(const at::Tensor& x);

// Mean over height and width, flattened: (N, C, H, W) -> (N, C).
at::Tensor global_mean(const at::Tensor& x);

}  // namespace halftone::models
