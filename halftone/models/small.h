// The two small networks: a multi-layer perceptron and a LeNet-like CNN.
#pragma once

#include "halftone/models/layers.h"

namespace halftone::models {

// Two hidden layers of 512 with ReLU over the flattened image.
class Mlp : public Network {
 public:
  explicit Mlp(const NetworkOptions& options);
  at::Tensor forward(const at::Tensor& x) override;

 private:
  nn::Linear fc1_, fc2_, fc3_;
};

// After LeNet-5 (LeCun et al. 1998) with ReLU and maximum pools: conv 5x5 to 32, pool, conv 5x5 to
// 64, pool, 512 hidden units. ImageNet stem: the first convolution and pool are 7x7/2 and 3x3/2.
class HALFTONE_API Cnn : public Network {
 public:
  explicit Cnn(const NetworkOptions& options);
  at::Tensor forward(const at::Tensor& x) override;
  // What the last layer is given: (N, 512).
  at::Tensor features(const at::Tensor& x);

 private:
  torch::nn::Conv2d conv1_, conv2_;
  nn::Linear fc1_, fc2_;
};

}  // namespace halftone::models
