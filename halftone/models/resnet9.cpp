#include "halftone/models/resnet9.h"

#include <ATen/ops/amax.h>

namespace halftone::models {
namespace {

constexpr double kLogitScale = 0.125;

at::Tensor pool(const at::Tensor& x) { return pool_by_two(x, /*round_up=*/true); }

nn::ConvBnReLU conv_bn(std::int64_t in, std::int64_t out, std::int64_t kernel = 3,
                       std::int64_t stride = 1) {
  return nn::ConvBnReLU(conv_options(in, out, kernel, stride));
}

torch::nn::Sequential residual(std::int64_t width) {
  return torch::nn::Sequential(conv_bn(width, width), conv_bn(width, width));
}

}  // namespace

ResNet9::ResNet9(const NetworkOptions& options, std::int64_t width)
    : Network(options),
      prep_(register_module("prep", options.stem == Stem::cifar
                                        ? conv_bn(options.channels, width)
                                        : conv_bn(options.channels, width, 7, 2))),
      layer1_(register_module("layer1", conv_bn(width, 2 * width))),
      layer2_(nullptr),
      layer3_(nullptr),
      residual1_(register_module("residual1", residual(2 * width))),
      residual3_(nullptr),
      fc_(nullptr) {
  layer2_ = register_module("layer2", conv_bn(2 * width, 4 * width));
  layer3_ = register_module("layer3", conv_bn(4 * width, 8 * width));
  residual3_ = register_module("residual3", residual(8 * width));
  fc_ = register_module(
      "fc", nn::Linear(torch::nn::LinearOptions(8 * width, options.classes).bias(false)));
}

at::Tensor ResNet9::forward(const at::Tensor& x) {
  auto h = prep_(prepare(x, prep_->conv->weight, total_stride()));
  if (options().stem == Stem::imagenet) h = stem_pool(h);
  h = pool(layer1_(h));
  h = h + residual1_->forward(h);
  h = pool(layer2_(h));
  h = pool(layer3_(h));
  h = h + residual3_->forward(h);
  return fc_(at::amax(h, {2, 3})) * kLogitScale;
}

}  // namespace halftone::models
