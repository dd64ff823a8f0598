#include "halftone/models/resnet9.h"

#include <ATen/ops/amax.h>
#include <ATen/ops/max_pool2d.h>

namespace halftone::models {
namespace {

constexpr double kLogitScale = 0.125;

at::Tensor pool(const at::Tensor& x) { return at::max_pool2d(x, 2, 2, 0, 1, /*ceil_mode=*/true); }

torch::nn::Sequential residual(std::int64_t width) {
  return torch::nn::Sequential(ConvBn(width, width), ConvBn(width, width));
}

}  // namespace

ResNet9::ResNet9(const NetworkOptions& options)
    : Network(options),
      prep_(register_module("prep", options.stem == Stem::cifar
                                        ? ConvBn(options.channels, 64)
                                        : ConvBn(options.channels, 64, 7, 2))),
      layer1_(register_module("layer1", ConvBn(64, 128))),
      layer2_(nullptr),
      layer3_(nullptr),
      residual1_(register_module("residual1", residual(128))),
      residual3_(nullptr),
      fc_(nullptr) {
  layer2_ = register_module("layer2", ConvBn(128, 256));
  layer3_ = register_module("layer3", ConvBn(256, 512));
  residual3_ = register_module("residual3", residual(512));
  fc_ = register_module(
      "fc", torch::nn::Linear(torch::nn::LinearOptions(512, options.classes).bias(false)));
}

at::Tensor ResNet9::forward(const at::Tensor& x) {
  auto h = prep_(prepare(x, prep_->conv->weight, total_stride()));
  if (options().stem == Stem::imagenet) h = stem_pool(h);
  h = pool(layer1_(h));
  h = h + residual1_->forward(h);
  h = pool(layer2_(h));
  h = pool(layer3_(h));
  h = h + residual3_->forward(h);
  return apply_linear(fc_, at::amax(h, {2, 3})) * kLogitScale;
}

}  // namespace halftone::models
