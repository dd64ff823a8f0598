// The network of the published CIFAR-10 speed runs.
#pragma once

#include "halftone/models/layers.h"

namespace halftone::models {

// conv, 2x2 maximum pool, norm, GELU, conv, norm, GELU. The norms train their biases alone.
struct FastBlockImpl : torch::nn::Module {
  FastBlockImpl(std::int64_t in, std::int64_t width);
  at::Tensor forward(const at::Tensor& x);

  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr};
  torch::nn::BatchNorm2d norm1{nullptr}, norm2{nullptr};
};
TORCH_MODULE(FastBlock);

// Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (arXiv:2404.00498), section 3: a
// 2x2 convolution that whitens and is not trained, but for its bias; GELU; blocks of 64, 256 and
// 256; global maximum; linear without bias, logits times 1/9. Images from 9x9 on; no stem.
class HALFTONE_API FastNet : public Network {
 public:
  explicit FastNet(const NetworkOptions& options);
  at::Tensor forward(const at::Tensor& x) override;

  // Kaiming uniform over fan in, as LibTorch's own, then the first `in` units of each trained
  // convolution pass their input on (section 3.1).
  void initialise(std::uint64_t seed, Format format) override;

  // Sets the first layer's weight from images (N, C, H, W), normalised: the eigenvectors v of the
  // covariance of their 2x2 patches, each divided by sqrt(eigenvalue + 5e-4), and their negatives
  // (section 3.2). Depends on the images alone.
  void whiten(const at::Tensor& images);

  // Whether the first layer's bias takes part in training; backward ends behind it where not.
  void train_whitening_bias(bool trained);

 private:
  torch::nn::Conv2d whiten_{nullptr};
  FastBlock block1_{nullptr}, block2_{nullptr}, block3_{nullptr};
  nn::Linear fc_{nullptr};
};

}  // namespace halftone::models
