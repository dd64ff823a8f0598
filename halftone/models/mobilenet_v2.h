// MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381), with torchvision's names of parameters.
#pragma once

#include <torch/nn/modules/container/sequential.h>

#include "halftone/models/layers.h"

namespace halftone::models {

// Table 2: a 3x3 convolution of 32, seventeen inverted residuals, a 1x1 convolution of 1280, mean,
// dropout of 0.2, linear. The CIFAR stem leaves out the strides of the first convolution and of the
// blocks of 24, so that the last maps have an eighth of the image's size instead of a 32nd.
class MobileNetV2 : public Network {
 public:
  explicit MobileNetV2(const NetworkOptions& options);
  at::Tensor forward(const at::Tensor& x) override;

 private:
  torch::nn::Sequential features_, classifier_;
  nn::Conv2d first_{nullptr};  // of features_
};

}  // namespace halftone::models
