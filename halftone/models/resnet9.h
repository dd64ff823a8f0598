// ResNet-9, the network of the published CIFAR-10 speed runs.
#pragma once

#include <torch/nn/modules/container/sequential.h>

#include "halftone/models/layers.h"

namespace halftone::models {

// Page, "How to train your ResNet" (2018), part 4 on: 64; 128, pool, residual; 256, pool; 512,
// pool, residual; global maximum; linear without bias, logits times 0.125. Pools round sizes up, so
// that 28x28 and smaller images go through (32x32 has nothing to round). width: of the first layer;
// the others keep their ratio to it.
class ResNet9 : public Network {
 public:
  explicit ResNet9(const NetworkOptions& options, std::int64_t width = 64);
  at::Tensor forward(const at::Tensor& x) override;

 private:
  nn::ConvBnReLU prep_, layer1_, layer2_, layer3_;
  torch::nn::Sequential residual1_, residual3_;
  nn::Linear fc_;
};

}  // namespace halftone::models
