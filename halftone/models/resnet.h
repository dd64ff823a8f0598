// ResNet-18 and ResNet-50 (He et al. 2016), with torchvision's names of parameters.
#pragma once

#include <torch/nn/modules/container/sequential.h>

#include <array>

#include "halftone/models/block_network.h"
#include "halftone/models/layers.h"

namespace halftone::models {

// Two 3x3 convolutions and the identity. downsample: 1x1 where size or width changes, else empty.
struct BasicBlockImpl : torch::nn::Module {
  static constexpr std::int64_t kExpansion = 1;
  BasicBlockImpl(std::int64_t in, std::int64_t width, std::int64_t stride);
  at::Tensor forward(const at::Tensor& x);

  nn::Conv2d conv1{nullptr}, conv2{nullptr};
  nn::BatchNormReLU bn1{nullptr};
  nn::BatchNormAddReLU bn2{nullptr};
  torch::nn::Sequential downsample{nullptr};
};

// 1x1, 3x3, 1x1 to four times the width; the stride is in the 3x3 (as in torchvision, "v1.5").
struct BottleneckImpl : torch::nn::Module {
  static constexpr std::int64_t kExpansion = 4;
  BottleneckImpl(std::int64_t in, std::int64_t width, std::int64_t stride);
  at::Tensor forward(const at::Tensor& x);

  nn::Conv2d conv1{nullptr}, conv2{nullptr}, conv3{nullptr};
  nn::BatchNormReLU bn1{nullptr}, bn2{nullptr};
  nn::BatchNormAddReLU bn3{nullptr};
  torch::nn::Sequential downsample{nullptr};
};

// Four stages of widths 64, 128, 256, 512 and the given numbers of blocks. options.classes = 0: no
// classifier, only features(). The BlockNetwork's blocks are these.
template <class Block>
class ResNet : public Network, public BlockNetwork {
 public:
  ResNet(const NetworkOptions& options, std::array<int, 4> blocks);
  at::Tensor forward(const at::Tensor& x) override;
  // What each stage gives, the finest first: of stride 1, 2, 4, 8, times 4 with the ImageNet stem.
  std::array<at::Tensor, 4> features(const at::Tensor& x);

 private:
  nn::Conv2d conv1_{nullptr};
  nn::BatchNormReLU bn1_{nullptr};
  std::array<torch::nn::Sequential, 4> stages_{nullptr, nullptr, nullptr, nullptr};
  nn::Linear fc_{nullptr};
};

using ResNet18 = ResNet<BasicBlockImpl>;  // blocks {2, 2, 2, 2}
using ResNet50 = ResNet<BottleneckImpl>;  // blocks {3, 4, 6, 3}

}  // namespace halftone::models
