#include "halftone/models/layers.h"

#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/max_pool2d.h>

namespace halftone::models {

torch::nn::Conv2d conv(std::int64_t in, std::int64_t out, std::int64_t kernel,
                       std::int64_t stride) {
  return torch::nn::Conv2d(
      torch::nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).bias(false));
}

ConvBnImpl::ConvBnImpl(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride)
    : conv(register_module("conv", models::conv(in, out, kernel, stride))),
      bn(register_module("bn", nn::BatchNormReLU(out))) {}

at::Tensor ConvBnImpl::forward(const at::Tensor& x) { return bn(conv(x)); }

at::Tensor stem_pool(const at::Tensor& x) { return at::max_pool2d(x, 3, 2, 1); }

at::Tensor global_mean(const at::Tensor& x) {
  return at::adaptive_avg_pool2d(x, {1, 1}).flatten(1);
}

}  // namespace halftone::models
