// Pieces that the networks share.
#pragma once

#include "halftone/models/network.h"
#include "halftone/nn/layers.h"

namespace halftone::models {

// A square convolution without bias (a normalisation follows it) that keeps the size at stride 1.
torch::nn::Conv2dOptions conv_options(std::int64_t in, std::int64_t out, std::int64_t kernel,
                                      std::int64_t stride = 1);

inline nn::Conv2d conv(std::int64_t in, std::int64_t out, std::int64_t kernel,
                       std::int64_t stride = 1) {
  return nn::Conv2d(conv_options(in, out, kernel, stride));
}

// The ImageNet stem's pool, 3x3 with stride 2: halves the size, rounded up.
at::Tensor stem_pool(const at::Tensor& x);

// 2x2 with stride 2, the size rounded down or up.
at::Tensor pool_by_two(const at::Tensor& x, bool round_up);

// Of the leaky ReLU after which LibTorch's own linear layers and convolutions are drawn: bounds of
// 1/sqrt(fan in).
inline constexpr double kLibTorchSlope = 2.23606797749979;  // sqrt(5)

// Fills the weights of convolutions (Kaiming normal over fan out, bias 0) and linear layers (as
// LibTorch's own), drawn in `format` from `seed` alone, and brings them to channels-last.
void initialise_layers(torch::nn::Module& module, std::uint64_t seed, Format format);

// x in channels-last, in the weights' format where no autocast is active.
at::Tensor network_input(const at::Tensor& x, const at::Tensor& weight);

// Mean over height and width, flattened: (N, C, H, W) -> (N, C).
at::Tensor global_mean(const at::Tensor& x);

}  // namespace halftone::models
