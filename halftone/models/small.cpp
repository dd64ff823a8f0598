#include "halftone/models/small.h"

namespace halftone::models {
namespace {

constexpr std::int64_t kHidden = 512;
constexpr std::int64_t kMaps1 = 32, kMaps2 = 64;

torch::nn::Conv2d biased_conv(std::int64_t in, std::int64_t out, std::int64_t kernel,
                              std::int64_t stride) {
  return torch::nn::Conv2d(
      torch::nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2));
}

// One side of the image after both pools.
std::int64_t side_after(std::int64_t side, Stem stem) {
  if (stem == Stem::cifar) return side / 2 / 2;
  const auto halved = (side + 1) / 2;  // 7x7/2 with padding 3
  return (halved + 1) / 2 / 2;         // 3x3/2 with padding 1, 2x2/2
}

}  // namespace

Mlp::Mlp(const NetworkOptions& options)
    : Network(options),
      fc1_(register_module("fc1",
                           nn::Linear(options.channels * options.height * options.width, kHidden))),
      fc2_(register_module("fc2", nn::Linear(kHidden, kHidden))),
      fc3_(register_module("fc3", nn::Linear(kHidden, options.classes))) {}

at::Tensor Mlp::forward(const at::Tensor& x) {
  // Flattened as (C, H, W) whatever the memory format, as PyTorch does.
  auto h = prepare(x, fc1_->weight).flatten(1);
  h = fc1_(h).relu_();
  h = fc2_(h).relu_();
  return fc3_(h);
}

Cnn::Cnn(const NetworkOptions& options)
    : Network(options),
      conv1_(register_module("conv1", options.stem == Stem::cifar
                                          ? biased_conv(options.channels, kMaps1, 5, 1)
                                          : biased_conv(options.channels, kMaps1, 7, 2))),
      conv2_(register_module("conv2", biased_conv(kMaps1, kMaps2, 5, 1))),
      fc1_(register_module("fc1", nn::Linear(kMaps2 * side_after(options.height, options.stem) *
                                                 side_after(options.width, options.stem),
                                             kHidden))),
      fc2_(register_module("fc2", nn::Linear(kHidden, options.classes))) {}

at::Tensor Cnn::forward(const at::Tensor& x) { return fc2_(features(x)); }

at::Tensor Cnn::features(const at::Tensor& x) {
  auto h = conv1_(prepare(x, conv1_->weight)).relu_();
  h = options().stem == Stem::cifar ? pool_by_two(h, /*round_up=*/false) : stem_pool(h);
  h = pool_by_two(conv2_(h).relu_(), /*round_up=*/false).flatten(1);
  return fc1_(h).relu_();
}

}  // namespace halftone::models
