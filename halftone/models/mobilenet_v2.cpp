#include "halftone/models/mobilenet_v2.h"

#include <ATen/ops/hardtanh.h>
#include <torch/nn/modules/dropout.h>

namespace halftone::models {
namespace {

constexpr std::int64_t kFirst = 32, kLast = 1280;
constexpr double kDropout = 0.2;

// t, c, n, s of the paper's table 2.
struct Stage {
  std::int64_t expansion, width, blocks, stride;
};
constexpr Stage kStages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                             {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
constexpr std::int64_t kSecondWidth = 24;

// Convolution "0", normalisation "1", min(max(x, 0), 6).
struct ConvBnRelu6Impl : torch::nn::Module {
  ConvBnRelu6Impl(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                  std::int64_t groups)
      : conv(
            register_module("0", nn::Conv2d(conv_options(in, out, kernel, stride).groups(groups)))),
        bn(register_module("1", torch::nn::BatchNorm2d(out))) {}
  at::Tensor forward(const at::Tensor& x) { return at::hardtanh(bn(conv(x)), 0, 6); }

  nn::Conv2d conv;
  torch::nn::BatchNorm2d bn;
};
TORCH_MODULE(ConvBnRelu6);

// Section 3.3: 1x1 to `expansion` times the width, 3x3 of each channel alone, 1x1 without an
// activation; plus the input where it has that shape.
struct InvertedResidualImpl : torch::nn::Module {
  InvertedResidualImpl(std::int64_t in, std::int64_t out, std::int64_t stride,
                       std::int64_t expansion)
      : conv(register_module("conv", torch::nn::Sequential())), adds(stride == 1 && in == out) {
    const std::int64_t hidden = in * expansion;
    if (expansion > 1) conv->push_back(ConvBnRelu6(in, hidden, 1, 1, 1));
    conv->push_back(ConvBnRelu6(hidden, hidden, 3, stride, hidden));
    conv->push_back(models::conv(hidden, out, 1));
    conv->push_back(torch::nn::BatchNorm2d(out));
  }
  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor h = conv->forward(x);
    return adds ? x + h : h;
  }

  torch::nn::Sequential conv;
  bool adds;
};
TORCH_MODULE(InvertedResidual);

}  // namespace

MobileNetV2::MobileNetV2(const NetworkOptions& options) : Network(options) {
  const bool small = options.stem == Stem::cifar;
  features_ = register_module("features", torch::nn::Sequential());
  const ConvBnRelu6 first(options.channels, kFirst, 3, small ? 1 : 2, 1);
  first_ = first->conv;
  features_->push_back(first);
  std::int64_t in = kFirst;
  for (const Stage& stage : kStages) {
    for (std::int64_t block = 0; block < stage.blocks; ++block) {
      const bool halves = block == 0 && !(small && stage.width == kSecondWidth);
      features_->push_back(
          InvertedResidual(in, stage.width, halves ? stage.stride : 1, stage.expansion));
      in = stage.width;
    }
  }
  features_->push_back(ConvBnRelu6(in, kLast, 1, 1, 1));
  classifier_ = register_module(
      "classifier",
      torch::nn::Sequential(torch::nn::Dropout(kDropout), nn::Linear(kLast, options.classes)));
}

at::Tensor MobileNetV2::forward(const at::Tensor& x) {
  const at::Tensor maps = features_->forward(prepare(x, first_->weight, total_stride()));
  return classifier_->forward(global_mean(maps));
}

}  // namespace halftone::models
